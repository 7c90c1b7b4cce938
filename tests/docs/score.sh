#!/bin/sh
# README's program scores an image under a model that was just trained, as the tool does, and says what is
# wrong with a wrong one. Usage: score.sh GLOWTOOL SCORE. SPDX-License-Identifier: MIT
set -eu
tool=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") score=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
head -c 512 /dev/zero | tr '\0' '\200' > pixels.bin # two grey images of 16 x 16
"$tool" train --data pixels.bin --format raw:1x16x16 --levels 1 --depth 1 --hidden 4 --steps 2 \
  --batch 2 --no-checkpoints --quiet --out made > said 2>&1 || { cat said; exit 1; }
bits() { sed -n 's,^\(-*[0-9.]*\) bits/dim$,\1,p'; }
found=$(head -c 256 pixels.bin | "$score" made/model.safetensors | bits)
[ -n "$found" ] || { echo "the program prints no bits/dim"; exit 1; }
# The noise inside the bins is another one.
"$tool" score made/model.safetensors --data pixels.bin --format raw:1x16x16 --out scores.csv > said 2>&1
awk -F, -v found="$found" '
  NR == 1 { for (i = 1; i <= NF; i++) if ($i == "bits_per_dim") column = i; next }
  { seen = 1; if (found - $column > 1 || $column - found > 1) { print found " is not near " $column; bad = 1 } }
  END { exit bad || !seen }' scores.csv
for wrong in /dev/null pixels.bin; do
  if "$score" made/model.safetensors < "$wrong" > said 2>&1 || ! grep -q '^usage:' said; then
    [ "$wrong" = pixels.bin ] && echo "an image of another size is taken" || echo "no image is taken"
    exit 1
  fi
done
if "$score" pixels.bin < /dev/null > said 2>&1 || ! grep -q pixels.bin said; then
  echo "a file that is no model: it does not say so"
  exit 1
fi
