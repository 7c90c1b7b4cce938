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
imports 'rosinality.safetensors: 8 x 16 x 1 images of 8 bits, .*' "$rosinality" --size 8x16 \
  --out rosinality.safetensors
expect "reversed" "$tool" import "$vectors/y0ast_affine_reverse.safetensors" --reversed \
  --out reversed.safetensors
for name in y0ast openai rosinality reversed; do
  expect "the model of $name is whole" "$tool" info $name.safetensors
done
expect "an imported model draws" "$tool" sample openai.safetensors --count 5 --out new.png
expect "a picture" is_png new.png

expect "export" "$tool" export y0ast.safetensors --format y0ast --out back.safetensors
expect "what was exported" "$tool" import back.safetensors --out again.safetensors
expect "comes back the same" cmp y0ast.safetensors again.safetensors
expect "bfloat16" "$tool" export y0ast.safetensors --format glow --storage bf16 --out half.safetensors
expect "is smaller" [ "$(wc -c < half.safetensors)" -lt "$(wc -c < y0ast.safetensors)" ]
expect "and a model" "$tool" info half.safetensors
expect "float32" "$tool" export y0ast.safetensors --format glow --out whole.safetensors
expect "is the model" cmp y0ast.safetensors whole.safetensors

refuses "FILE is missing" import
refuses "give height and width" import "$openai" --out no.safetensors
refuses "not of 4 x 4" import "$vectors/y0ast_affine_shuffle_classes.safetensors" --size 4 \
  --out no.safetensors
refuses "divisible by 4" import "$openai" --size 10 --out no.safetensors
refuses "--size: '8x' is not N or NxM" import "$openai" --size 8x --out no.safetensors
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
refuses "--storage bf16 goes with --format glow" export y0ast.safetensors --storage bf16 \
  --out no.safetensors
refuses "back.safetensors" export back.safetensors --out no.safetensors
expect "refusals leave nothing behind" sh -c '! ls -A | grep -q no.safetensors'
finish
