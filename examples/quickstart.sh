#!/bin/sh
# From a fresh clone to pictures: installs what is missing, builds, trains a small Glow on
# handwritten digits that it generates itself, and leaves a grid of new ones beside one of data.
# A few minutes on two cores. Usage: sh examples/quickstart.sh [--no-install] [--build DIR] [OUTPUT_DIR]
#   --no-install  name the packages that are missing instead of installing them
#   --build DIR   build there, default build/
#   OUTPUT_DIR    for the results, default DIR/quickstart
# SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
absolute() {
  case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac
}
usage() {
  echo "$1" >&2
  echo "usage: sh examples/quickstart.sh [--no-install] [--build DIR] [OUTPUT_DIR]" >&2
  exit 2
}

install="" build=$root/build out=""
while [ $# -gt 0 ]; do
  case $1 in
  --no-install) install=--no-install ;;
  --build)
    [ $# -ge 2 ] || usage "quickstart.sh: --build needs a folder"
    build=$(absolute "$2")
    shift
    ;;
  -*) usage "quickstart.sh: unknown option $1" ;;
  *)
    [ -z "$out" ] || usage "quickstart.sh: one folder for the results, not '$out' and '$1'"
    out=$(absolute "$1")
    ;;
  esac
  shift
done
out=${out:-$build/quickstart}

echo "1. What the build needs"
sh "$root/tests/install-deps.sh" $install tool

echo "2. Building in $build"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
  sh "$root/tests/configure.sh" "$build" -Dexamples=enabled -Dglowtool=enabled -Djpeg=enabled \
    -Dwebp=enabled -Dzlib=enabled && ninja -C "$build" examples/glowtool/glowtool
} > "$log" 2>&1 || { cat "$log"; exit 1; }

echo "3. Training on generated digits: their bits per dimension should fall from 5 to near 1"
glowtool=$build/examples/glowtool/glowtool
"$glowtool" train --preset digits --report-every 200 --test-every 400 --no-checkpoints \
  --overwrite --out "$out"
model=$out/model.safetensors
"$glowtool" interpolate "$model" --format digits --rows 5 --columns 10 --out "$out/between.png"

echo "4. Done. In $out:"
for file in samples.png data.png between.png loss.png model.safetensors; do
  [ -s "$out/$file" ] || { echo "missing: $file"; exit 1; }
done
echo "  samples.png   digits that the model draws, a column for each class"
echo "  data.png      digits that it learnt from"
echo "  between.png   ways from one digit to another through the latent space"
echo "  loss.png      the curve of bits per dimension"
echo "  model.safetensors, the model. To draw more digits with it, say threes:"
echo "  $glowtool sample $model --class 3 --out threes.png"
