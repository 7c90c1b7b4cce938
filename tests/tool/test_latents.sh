#!/bin/sh
# Tests what glowtool does in the latent space: interpolate, attribute, sweep, anomaly; and how they refuse.
# Usage: test_latents.sh GLOWTOOL. SPDX-License-Identifier: MIT
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"

for i in 0 1 10 11 20 21 30 31 40 41 50 51; do record $i; done > images.bin
"$tool" train --data images.bin --format cifar10 --levels 2 --depth 1 --hidden 4 --batch 4 \
  --steps 2 --out run > train.log 2>&1
model=run/model.safetensors
expect "a model to look into" [ -s $model ]

for path in linear spherical; do
  expect "interpolate, $path" "$tool" interpolate $model --data images.bin --rows 2 --columns 5 \
    --path $path --out $path.png
  expect "interpolate draws, $path" is_png $path.png
done
expect "the paths differ" sh -c '! cmp -s linear.png spherical.png'

# A path between classes has no jump: it does not depend on what the labels say.
"$tool" train --data images.bin --format cifar10 --levels 2 --depth 1 --hidden 4 --batch 4 \
  --conditional --lr 0.1 --warmup 0 --steps 4 --out classes > classes.log 2>&1
for i in 0 1 10 11; do printf '\007'; record $i | tail -c 3072; done > sevens.bin
for data in images sevens; do
  expect "interpolate between classes" "$tool" interpolate classes/model.safetensors \
    --data $data.bin --rows 2 --columns 5 --out $data-path.png
done
expect "a path does not depend on labels" cmp images-path.png sevens-path.png

expect "sweep" "$tool" sweep $model --temperatures 0,1 --columns 3 --out sweep.png
expect "sweep draws" is_png sweep.png

"$tool" attribute $model --with images.bin --with-class 1 --without images.bin --without-class 0 \
  --save direction.safetensors --amounts 0,1 --rows 2 --out first.png > attribute.txt 2>&1
expect "attribute" [ $? -eq 0 ]
expect "attribute draws" is_png first.png
expect "attribute counts the images" grep -qx "6 images with" attribute.txt
"$tool" attribute $model --direction direction.safetensors --data images.bin --amounts 0,1 --rows 2 \
  --out second.png > again.txt 2>&1
expect "attribute reads what it saved" [ $? -eq 0 ]
expect "the direction is the same" [ "$(grep length attribute.txt)" = "$(grep length again.txt)" ]
expect "a mean against itself is no direction" sh -c "'$tool' attribute $model --with images.bin \
  --without images.bin --rows 1 --out none.png | grep -qE 'length (0|[0-9.]+e-[0-9]+) '"

"$tool" anomaly $model --data images.bin --other-format shapes --images 12 --per-image scores.csv \
  --json --out anomaly.png > anomaly.json 2>&1
expect "anomaly" [ $? -eq 0 ]
expect "anomaly draws" is_png anomaly.png
expect "half the images are the reference" grep -q '"images": *6,' anomaly.json
expect "a line for each score" [ "$(wc -l < scores.csv)" -eq 19 ]
expect "both areas are given" grep -qE '"auc_likelihood": *[01].*"auc_typicality": *[01]' anomaly.json
"$tool" anomaly $model --data images.bin --other images.bin --reference images.bin --images 12 \
  --out same.png > same.txt 2>&1
expect "a set against itself: the score tells nothing" \
  grep -q "likelihood 0.5000, typicality 0.5000" same.txt

refuses "--data is missing" interpolate $model
record 3 > one.bin
refuses "two images or more" interpolate $model --data one.bin
refuses "--rows: '0' is not" interpolate $model --data images.bin --rows 0
refuses "is not a number from 0 to 10" sweep $model --temperatures 1,x
refuses "has no classes" sweep $model --class 3
refuses "--with is missing" attribute $model
refuses "--without is missing" attribute $model --with images.bin
refuses "no image has class 7" attribute $model --with images.bin --with-class 7 --without images.bin
refuses "means nothing with --direction" attribute $model --direction d --with images.bin
refuses "no tensor 'direction'" attribute $model --direction $model --data images.bin
refuses "--other is missing" anomaly $model --data images.bin
refuses "there is no folder" anomaly $model --data images.bin --other images.bin --out no/a.png
finish
