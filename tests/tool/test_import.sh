#!/bin/sh
# Tests glowtool import and export: weights of other projects in, models out, and how both refuse.
# Usage: test_import.sh GLOWTOOL VECTORS_FOLDER. SPDX-License-Identifier: MIT
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
vectors=$(cd "$2" && pwd)
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"

expect "help" sh -c "'$tool' import --help | grep -q -- --ignore-unknown"
expect "help" sh -c "'$tool' export --help | grep -q -- --storage"

y0ast=$vectors/y0ast_affine_lu.safetensors
openai=$vectors/openai_additive_lu_classes.safetensors
rosinality=$vectors/rosinality_additive_plain.safetensors
# imports WHAT ARGUMENTS...: the import must succeed, and print WHAT on one line.
imports() {
  line=$1
  shift
  "$tool" import "$@" > told 2>&1
  expect "import $*" [ $? -eq 0 ]
  expect "it tells $line" grep -qx "$line" told
}
imports 'y0ast.safetensors: 8 x 8 x 1 images of 8 bits, .* parameters, 16 layers' "$y0ast" \
  --out y0ast.safetensors
imports 'openai.safetensors: 8 x 8 x 1 images of 5 bits, .*' "$openai" --format openai --size 8 \
  --bits 5 --out openai.safetensors
imports 'rosinality.safetensors: 8 x 16 x 1 images of 8 bits, .*' "$rosinality" --size 16x8 \
  --out rosinality.safetensors
expect "reversed" "$tool" import "$vectors/y0ast_affine_reverse.safetensors" --reversed \
  --out reversed.safetensors
for name in y0ast openai rosinality reversed; do
  expect "the model of $name is whole" "$tool" info $name.safetensors
done
head -c 1024 /dev/zero | tr '\000' x > grey.bin
"$tool" export y0ast.safetensors --format glow --storage bf16 --out half.safetensors > told 2>&1
for name in y0ast rosinality half; do
  size=8x8
  [ $name != rosinality ] || size=8x16
  expect "the model of $name is trained on" "$tool" train --from $name.safetensors --data grey.bin \
    --format raw:1x$size --steps 2 --batch 4 --no-checkpoints --out "more-$name"
  expect "into a whole one" "$tool" info "more-$name/model.safetensors"
done
expect "an imported model draws" "$tool" sample openai.safetensors --count 5 --out new.png
expect "a picture" is_png new.png

expect "export" "$tool" export y0ast.safetensors --format y0ast --out back.safetensors
expect "what was exported" "$tool" import back.safetensors --out again.safetensors
expect "comes back the same" cmp y0ast.safetensors again.safetensors
expect "bfloat16" "$tool" export y0ast.safetensors --format glow --storage bf16 --out half.safetensors
expect "is smaller" [ "$(wc -c < half.safetensors)" -lt "$(wc -c < y0ast.safetensors)" ]
expect "and a model" "$tool" info half.safetensors
expect "samples to score" "$tool" sample y0ast.safetensors --count 6 --out drawn.npy
"$tool" export y0ast.safetensors --format glow --storage bf16 --data drawn.npy --images 5 \
  --out half.safetensors > told 2>&1
cost='bits/dim of 5 samples: [0-9.]* before, [0-9.]* after ([+-]0.0[0-9]*)$'
expect "tells what rounding costs" grep -q "^$cost" told
expect "scores before" grep -q " $("$tool" eval y0ast.safetensors --data drawn.npy --images 5 |
  cut -d' ' -f1) before" told
expect "and after" grep -q " $("$tool" eval half.safetensors --data drawn.npy --images 5 |
  cut -d' ' -f1) after" told
expect "float32" "$tool" export y0ast.safetensors --format glow --out whole.safetensors
expect "is the model" cmp y0ast.safetensors whole.safetensors

# rename FROM TO IN OUT: another text in the names of a file's tensors.
rename() {
  python3 - "$@" << 'END'
import json, struct, sys
old, new, source, target = sys.argv[1:]
data = open(source, "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
names = {n if n == "__metadata__" else (new + n if not old else n.replace(old, new)): t
         for n, t in header.items()}
text = json.dumps(names).encode()
open(target, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + length:])
END
}
# halve IN F32 F16: the file's elements rounded to 16 bits, once as F32 and once as F16.
halve() {
  python3 - "$@" << 'END'
import json, struct, sys
source, wide, half = sys.argv[1:]
data = open(source, "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
header.pop("__metadata__", None)
for target, code, dtype in ((wide, "f", "F32"), (half, "e", "F16")):
    body, entries = b"", {}
    for name, t in header.items():
        raw = data[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]]
        kind = t["dtype"]
        if kind == "F32":
            values = struct.unpack("<%df" % (len(raw) // 4), raw)
            rounded = struct.unpack("<%de" % len(values), struct.pack("<%de" % len(values), *values))
            raw, kind = struct.pack("<%d%s" % (len(values), code), *rounded), dtype
        entries[name] = {"dtype": kind, "shape": t["shape"],
                         "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(entries).encode()
    open(target, "wb").write(struct.pack("<Q", len(text)) + text + body)
END
}
halve "$vectors/y0ast_additive_plain_classes.safetensors" wide16.safetensors half16.safetensors
expect "numbers of 16 bits as F32" "$tool" import wide16.safetensors --out wide.safetensors
expect "and as F16" "$tool" import half16.safetensors --out narrow.safetensors
expect "are the same model" cmp wide.safetensors narrow.safetensors
rename "" _orig_mod. "$y0ast" compiled.safetensors
expect "names of a compiled module" "$tool" import compiled.safetensors --out plain.safetensors
expect "give the same model" cmp y0ast.safetensors plain.safetensors
rename .block.0.conv.weight .f.0.weight "$y0ast" chaiyujin.safetensors
refuses "is of chaiyujin/glow-pytorch, whose models are not imported" import chaiyujin.safetensors \
  --out no.safetensors

refuses "FILE is missing" import
refuses "give height and width" import "$openai" --out no.safetensors
refuses "not of 4 x 4" import "$vectors/y0ast_affine_shuffle_classes.safetensors" --size 4 \
  --out no.safetensors
refuses "divisible by 4" import "$openai" --size 10 --out no.safetensors
refuses "--size: '8x' is not N or WxH" import "$openai" --size 8x --out no.safetensors
refuses "--size: '-8' is not" import "$openai" --size -8 --out no.safetensors
refuses "--size: '8x8x3' is not" import "$openai" --size 8x8x3 --out no.safetensors
refuses "--bits: '9' is not" import "$openai" --size 8 --bits 9 --out no.safetensors
refuses "format" import "$openai" --format torch --out no.safetensors
refuses "every model of y0ast/Glow-PyTorch" import "$openai" --format y0ast --size 8 \
  --out no.safetensors
refuses "names are those of none" import y0ast.safetensors --size 8 --out no.safetensors
refuses "reversed or shuffled" import "$vectors/y0ast_affine_reverse.safetensors" \
  --out no.safetensors
refuses "missing.safetensors" import missing.safetensors --size 8 --out no.safetensors
refuses "there is no folder" import "$y0ast" --out nowhere/no.safetensors
refuses "MODEL is missing" export
refuses "option net.edge is 1" export openai.safetensors --out no.safetensors
refuses "--storage means nothing without --format glow" export y0ast.safetensors --storage bf16 \
  --out no.safetensors
refuses "back.safetensors" export back.safetensors --out no.safetensors
expect "refusals leave nothing behind" sh -c '! ls -A | grep -q no.safetensors'
finish
