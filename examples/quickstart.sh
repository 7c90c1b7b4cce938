#!/bin/sh
# From a fresh clone to pictures: installs what is missing, builds, trains a small Glow on pictures
# that it generates itself, and leaves a grid of samples beside one of data. A few minutes on two
# cores. Usage: sh examples/quickstart.sh [OUTPUT_DIR, default build/quickstart].
# SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/quickstart}
case $out in /*) ;; *) out=$PWD/$out ;; esac

echo "1. What the build needs"
sh "$root/tests/install-deps.sh" tool

echo "2. Building in $root/build"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
  [ -f "$root/build/build.ninja" ] || meson setup "$root/build" "$root"
  ninja -C "$root/build" examples/glowtool/glowtool
} > "$log" 2>&1 || { cat "$log"; exit 1; }

echo "3. Training: the bits per dimension of the pictures should fall"
glowtool=$root/build/examples/glowtool/glowtool
"$glowtool" train --preset quick --depth 8 --hidden 96 --steps 1200 --report-every 40 \
  --scale sigmoid-floor --temperature 0.8 --threads 2 --overwrite --out "$out"

echo "4. Done. In $out:"
for file in samples.png data.png loss.png model.safetensors; do
  [ -s "$out/$file" ] || { echo "missing: $file"; exit 1; }
done
echo "  samples.png        pictures that the model draws"
echo "  data.png           pictures that it learnt from"
echo "  loss.png           the curve of bits per dimension"
echo "  model.safetensors  the model; to draw more pictures from it:"
echo "  $glowtool sample $out/model.safetensors --out more.png"
