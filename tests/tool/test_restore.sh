#!/bin/sh
# Tests glowtool restore: inpainting, denoising and upscaling, by either method; what it says, and how it
# refuses. Usage: test_restore.sh GLOWTOOL. SPDX-License-Identifier: MIT
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"

# Images that are much alike, so that a model of few steps knows something of what is hidden.
"$tool" train --format digits --images 400 --levels 2 --depth 2 --hidden 16 --batch 32 --lr 0.005 \
  --warmup 5 --steps 60 --seed 1 --out run > train.log 2>&1
model=run/model.safetensors
expect "a model to restore with" [ -s $model ]
digits="--format digits --count 6"
quick="--steps 25 --chains 2 --burn-in 3 --samples 4"

# number KEY FILE: of the JSON text, the first one that is called so; of_model: the same, of the model's part.
number() { sed 's/[{,]/\n/g' "$2" | sed -n "s/.*\"$1\": *//p" | sed 's/[} ].*//' | head -n 1; }
of_model() { sed 's/.*"model": *{//' "$2" > part && number "$1" part; }
larger() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }'; }

for task in inpaint "denoise --noise 0.3" "upscale --factor 2"; do
  for method in map "langevin --chains 2 --burn-in 3 --samples 4"; do
    # shellcheck disable=SC2086
    expect "$task, $method" "$tool" restore $model $digits --task $task --method $method --steps 25 \
      --json --out picture.png
    cp expected.log said.json
    expect "$task, $method: a picture" is_png picture.png
    expect "$task, $method: a ratio: $(cat said.json)" larger "$(of_model psnr said.json)" 0
  done
done

# What is seen stays as it is, and what is hidden is nearer to the original than the plainest guess.
# shellcheck disable=SC2086
"$tool" restore $model $digits --method map --steps 60 --mask middle --json --out map.png > map.json 2> said
expect "better than the mean of the remaining pixels: $(cat map.json)" \
  larger "$(of_model psnr map.json)" "$(number psnr map.json)"

# The same, whatever the number of threads and the size of batches.
# shellcheck disable=SC2086
for way in "--threads 1 --batch 6" "--threads 2 --batch 6" "--threads 2 --batch 4"; do
  "$tool" restore $model $digits $quick $way --save "results$((count = ${count:-0} + 1)).safetensors" \
    --out same.png > /dev/null 2>&1
done
expect "threads do not matter" cmp results1.safetensors results2.safetensors
expect "nor do batches" cmp results1.safetensors results3.safetensors
# shellcheck disable=SC2086
"$tool" restore $model $digits $quick --seed 5 --save other.safetensors --out same.png > /dev/null 2>&1
expect "seeds do" sh -c '! cmp -s results1.safetensors other.safetensors'

# A prior of the data's mean and covariance, of images in files; and data that are what was observed.
for i in 0 1 2 3 10 11 12 20 21 30 31 40; do record $i; done > images.bin
"$tool" train --data images.bin --format cifar10 --levels 2 --depth 1 --hidden 4 --batch 4 --steps 2 \
  --out colour > colour.log 2>&1
colour="colour/model.safetensors --data images.bin --count 2 $quick"
# shellcheck disable=SC2086
expect "beside a Gaussian prior" "$tool" restore $colour --fit images.bin --json --out fit.png
cp expected.log fit.json
expect "which is told: $(cat fit.json)" grep -q '"gaussian"' fit.json
expect "and one of each pixel: $(cat fit.json)" grep -q '"pixels"' fit.json
expect "how far chains are apart: $(cat fit.json)" larger "$(number energy_between_chains fit.json)" 0
# shellcheck disable=SC2086
expect "what was observed" "$tool" restore $colour --task denoise --observed --deviation 0.1 --out seen.png
cp expected.log seen.log
expect "has no ratio: $(cat seen.log)" grep -q "2 images restored" seen.log

refuses "task: 'paint'" restore $model --task paint
refuses "--mask" restore $model --format digits --mask nowhere --out no.png
refuses "--noise is missing" restore $model --format digits --task denoise --out no.png
refuses "--deviation is missing" restore $model --format digits --task denoise --observed --out no.png
refuses "factor" restore $model --format digits --task upscale --factor 5 --out no.png
refuses "--class" restore $model --format digits --class 3 --out no.png
refuses "missing" restore missing.safetensors --format digits --out no.png
expect "what was refused leaves no picture" [ ! -e no.png ]

finish
