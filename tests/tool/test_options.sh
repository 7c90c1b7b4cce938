#!/bin/sh
# Options of glowtool that mean nothing where they are typed, that are typed twice or wrongly: each is
# refused by name. And the option lists of the manual are those of the program.
#
#   sh tests/tool/test_options.sh GLOWTOOL docs/glowtool.md [--write]
#
# --write puts the program's lists into the manual, and renews the manual pages and completions.
# SPDX-License-Identifier: MIT
# Lists of options in one variable are split into words.
# shellcheck disable=SC2086
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
case $2 in /*) manual=$2 ;; *) manual=$PWD/$2 ;; esac
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# ---- the manual ----------------------------------------------------------------------------------

begin='<!-- made by: sh tests/tool/test_options.sh GLOWTOOL docs/glowtool.md --write -->'
end='<!-- end of what is made -->'
"$tool" help --markdown > "$folder/lists" || exit 1
if [ "${3-}" = --write ]; then
  awk -v begin="$begin" -v end="$end" -v lists="$folder/lists" '
    $0 == end { inside = 0 }
    !inside
    $0 == begin { inside = 1; while ((getline line < lists) > 0) print line }' \
    "$manual" > "$folder/manual" && cat "$folder/manual" > "$manual"
  exec sh "${helpers%/*}/test_man.sh" "$tool" "${manual%/*}/man" --write
fi
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"
awk -v begin="$begin" -v end="$end" '
  $0 == end { inside = 0 }
  inside
  $0 == begin { inside = 1 }' "$manual" > written
expect "the manual has lists of options" [ -s written ]
"$tool" help --markdown | awk '/^### / { split("", seen) }
  /^\| `--/ { if (seen[$2]++) { print $2; twice = 1 } } END { exit twice }' > twice 2>&1
expect "no command has an option twice: $(cat twice)" [ ! -s twice ]
expect "the manual's lists of options are the program's (renew them with --write)" \
  cmp lists written
expect "help on one command" sh -c "'$tool' help sweep | grep -q -e --temperatures"
expect "a table for each command" [ "$(grep -c '^### ' lists)" -eq \
  "$("$tool" --help | sed -n '/^Commands:/,/^$/p' | grep -c '^  ')" ]

# ---- what means nothing --------------------------------------------------------------------------

shapes="train --format shapes --size 8 --images 8 --steps 2 --out new"
files="train --data batch.bin --steps 2 --out new"
# nothing OPTION WITH ARGUMENTS...: "--OPTION means nothing WITH ..."
nothing() {
  option=$1
  with=$2
  shift 2
  refuses "--$option means nothing $with" "$@"
  expect "no folder is made: $*" [ ! -e new ]
}
nothing labels "with --format shapes" $shapes --labels missing
nothing test-labels "with --format shapes" $shapes --test-labels missing
nothing data "with --format shapes" $shapes --data missing
nothing test "with --format shapes" $shapes --test missing
nothing labels "with --format cifar10" $files --format cifar10 --conditional --labels missing
nothing labels "without --conditional or --from" $files --labels missing
nothing test-labels "without --test" $files --conditional --test-labels missing
nothing test-every "without --test or --format shapes" $files --test-every 5
nothing test-images "without --test or --format shapes" $files --test-images 5
nothing floor "without --scale sigmoid-floor" $shapes --floor 0.3
nothing scale "without --coupling affine" $shapes --coupling additive --scale exp
nothing final "without --schedule cosine or --schedule exponential" $shapes --final 0.5
nothing beta2 "with --optimizer sgd" $shapes --optimizer sgd --beta2 0.9
nothing epsilon "without --optimizer adam" $shapes --optimizer sgd --epsilon 1e-6
nothing only-labelled "with --labelled 1" $files --conditional --only-labelled
nothing labelled-times "with --only-labelled" $files --conditional --labelled 0.5 --only-labelled \
  --labelled-times 2
nothing class-weight "without --conditional" $files --class-weight 0.1
nothing spatial-prior "with --fixed-prior" $shapes --spatial-prior --fixed-prior
nothing init-images "with --no-data-init" $shapes --model nice --no-data-init --init-images 5
nothing couplings "without --model nice" $shapes --couplings 3
nothing no-standardise "without --model vector" $shapes --no-standardise
nothing keep "with --no-checkpoints" $shapes --no-checkpoints --keep 3
nothing checkpoint-every "with --no-checkpoints" $shapes --no-checkpoints --checkpoint-every 3
nothing levels "with --from" $shapes --from model.safetensors --levels 2
nothing preset "with --from" $shapes --from model.safetensors --preset quick
nothing bits "with --from" $shapes --from model.safetensors --bits 5
refuses "--model realnvp means nothing with --preset cifar10" $files --preset cifar10 --model realnvp
nothing data "with --format shapes" eval model.safetensors --format shapes --data missing
nothing labels "with --format shapes" eval model.safetensors --format shapes --labels missing
nothing shapes-seed "without --format shapes" eval model.safetensors --data missing --shapes-seed 3
nothing shapes-seed "without --format shapes" score model.safetensors --data x --shapes-seed 3
nothing shapes-seed "without --format shapes or --other-format shapes" anomaly model.safetensors \
  --data x --other y --shapes-seed 3
nothing other "with --other-format shapes" anomaly model.safetensors --data x --other y \
  --other-format shapes
nothing reference-labels "without --reference" anomaly model.safetensors --data x --other y \
  --reference-labels z
nothing with-class "with --direction" attribute model.safetensors --direction x --data y \
  --with-class 3
nothing data-labels "without --data" attribute model.safetensors --with x --without y \
  --data-labels z
nothing columns "without --out *.png" sample model.safetensors --out x.safetensors --columns 3
nothing type "with --out *.png" sample model.safetensors --out x.png --type float32
nothing storage "without --format glow" export model.safetensors --storage bf16
nothing data "without --storage bf16" export model.safetensors --format glow --data x.npy
nothing images "without --data" export model.safetensors --format glow --storage bf16 --images 5
nothing images "without --data or --format shapes" doctor model.safetensors --images 5
nothing reversed "without --format auto or --format y0ast" import x --format openai --reversed

nothing with "with --format shapes" attribute model.safetensors --with x --without y --format shapes
head -c 3840 /dev/zero > raw.bin
refuses "x: No such file" train --data raw.bin --format raw:1x8x8 --conditional --labels x \
  --out new
refuses "--temperature means nothing here: images of 2 channels" train --data raw.bin \
  --format raw:2x8x8 --levels 1 --temperature 1 --steps 2 --out new
"$tool" train --format shapes --size 8 --images 8 --steps 1 --levels 1 --depth 1 --hidden 4 \
  --init-images 8 --test-images 8 --no-checkpoints --out plain > log 2>&1
refuses "--labels means nothing here: the model has no classes" eval plain/model.safetensors \
  --data raw.bin --format raw:3x8x8 --labels x
refuses "x: No such file" score plain/model.safetensors --data raw.bin --format raw:3x8x8 \
  --labels x

# ---- files whose names promise something else ----------------------------------------------------

for command in sample encode score decode reconstruct interpolate attribute sweep anomaly import \
  export; do
  refuses "--out: 'x.jpg' does not end in ." $command model.safetensors --out x.jpg
done
refuses "does not end in .png or .safetensors or .csv or .npy" sample model.safetensors --out t.txt
refuses "does not end in .png or .safetensors" sample model.safetensors --out .png

# ---- typed twice, mistyped -----------------------------------------------------------------------

refuses "--lr is given twice" $shapes --lr 0.1 --lr 0.2
refuses "--quiet is given twice" $shapes --quiet --quiet
refuses "--images is given twice" $shapes --images 8
# means TYPED MEANT COMMAND
means() { refuses "unknown option --$1; did you mean --$2 (" "$3" "--$1" 3; }
means rate lr train
means learning_rate lr train
means Batch-Size batch train
means epochs steps train
means output out sample
means num-samples count sample
means num-samples samples train
means iterations steps train
means workers threads eval
means pretrained from train
means continue resume train
means levles levels train
means lerning-rate lr train
refuses "unknown option -o; did you mean --out" sample model.safetensors -o x.png
refuses "--lab is short for --labels, --label-column, --labelled" train --lab x
refuses "unknown option --zzz; see 'glowtool train --help'" train --zzz
refuses "did you mean 'train'?" trian

finish
