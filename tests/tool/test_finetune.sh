#!/bin/sh
# Tests the example finetune: on a table and on pictures, a model that glowtool has trained on other data gets better
# on what is held out, what is held keeps its bits, weights come from a file by their names, and what it cannot do it
# refuses, and writes nothing. Usage: test_finetune.sh FINETUNE GLOWTOOL. SPDX-License-Identifier: MIT
set -u
case $1 in /*) finetune=$1 ;; *) finetune=$PWD/$1 ;; esac
case $2 in /*) glowtool=$2 ;; *) glowtool=$PWD/$2 ;; esac
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
tool=$finetune
# shellcheck source=helpers.sh
. "$helpers"

# table SHIFT: 400 rows of two columns that belong together.
table() {
  awk -v shift="$1" 'BEGIN {
    srand(7)
    print "a,b"
    for (i = 0; i < 400; i++) { a = rand() + rand() - 1; print a + shift "," a * a + 0.2 * rand() - shift }
  }'
}

# better FILE: bits/dim after are below those before.
better() {
  awk '/^before: / { first = $2 } /^after: / { last = $2 } END { exit !(last < first) }' "$1"
}

# ---- a table -----------------------------------------------------------------------------------

table 0 >theirs.csv
table 1 >mine.csv
expect "glowtool trains" "$glowtool" train --model vector --data theirs.csv --depth 2 --hidden 16 --steps 60 \
  --threads 1 --out theirs --quiet
model=theirs/model.safetensors
expect "finetune runs" "$finetune" --model "$model" --out mine.safetensors --hold step0.actnorm --hold step1.coupling \
  --rate 0.01 --steps 60 --every 10 --threads 1 mine.csv
"$finetune" --model "$model" --out mine.safetensors --hold step0.actnorm --hold step1.coupling --rate 0.01 --steps 60 \
  --every 10 --threads 1 mine.csv >out 2>err || cat err
expect "better on what is held out" better out
expect "held tensors kept their bits" grep -q '^[1-9][0-9]* tensors of [1-9][0-9]* elements were held, 0 of them changed$' out
expect "it says how much is trained" grep -q '^[1-9][0-9]* of [1-9][0-9]* parameters are trained$' out
expect "40 samples are held out" grep -q 'of 40 samples held out$' out
expect "the new model is one" "$glowtool" eval mine.safetensors --data mine.csv

# A rate that is far too high: it never gets better, patience ends it, and nothing is written.
"$finetune" --model "$model" --out worse.safetensors --rate 3 --steps 60 --every 2 --patience 2 --threads 1 theirs.csv \
  >out 2>err
expect "no better ends with 1" [ $? -eq 1 ]
expect "patience ended it, or values that are not finite" grep -q 'stopped early\|not finite' out err
expect "nothing was written" [ ! -e worse.safetensors ]

# Values by names: of the model that has just been trained, into the first one.
"$finetune" --model "$model" --weights mine.safetensors --out again.safetensors --rate 0.001 --steps 10 --every 5 \
  --threads 1 mine.csv >again 2>err || cat err
expect "all tensors were taken" grep -q '^[1-9][0-9]* tensors taken from mine.safetensors, 0 kept$' again

# ---- pictures ----------------------------------------------------------------------------------

for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do record $i; done >theirs.bin
for i in 20 23 26 29 32 35 38 41 44 47 50 53 56 59 62 65; do record $i; done >mine.bin
expect "glowtool trains on pictures" "$glowtool" train --data theirs.bin --format cifar10 --levels 2 --depth 1 \
  --hidden 8 --steps 3 --batch 4 --samples 1 --threads 1 --out pictures --quiet
"$finetune" --model pictures/model.safetensors --out pictures.safetensors --hold level0 --rate 0.003 --steps 20 \
  --every 5 --batch 4 --held-out 25 --threads 1 mine.bin >out 2>err || cat err
expect "better on pictures" better out
expect "held tensors kept their bits" grep -q ' were held, 0 of them changed$' out

# ---- what it refuses ---------------------------------------------------------------------------

refuses "no tensor" --model "$model" --out no.safetensors --hold nothing mine.csv
refuses "'nothing'" --model "$model" --out no.safetensors --hold step0 --hold nothing mine.csv
refuses "nothing is left to train" --model "$model" --out no.safetensors --hold "" mine.csv
refuses "loading the model" --model none.safetensors --out no.safetensors mine.csv
refuses "none.csv" --model "$model" --out no.safetensors none.csv
refuses "images, where a table is wanted" --model "$model" --out no.safetensors theirs.bin
sed '1s/$/,c/; 2,$s/$/,1/' mine.csv >three.csv
refuses "the model reads 1 x 1 x 2" --model "$model" --out no.safetensors three.csv
refuses "no column 'c'" --model "$model" --out no.safetensors --condition c mine.csv
refuses "condition of 0 elements" --model "$model" --out no.safetensors --condition b mine.csv
refuses "'prior.mean' has the shape [24]" --model "$model" --weights pictures.safetensors --out no.safetensors mine.csv
{
  printf '\100\0\0\0\0\0\0\0%-64s' '{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
  printf 'abcd'
} >other.safetensors
refuses "no tensor of the file" --model "$model" --weights other.safetensors --out no.safetensors mine.csv
refuses "missing: --model" --out no.safetensors mine.csv
refuses "missing: --out" --model "$model" mine.csv
refuses "missing: DATA" --model "$model" --out no.safetensors
refuses "rate 0" --model "$model" --out no.safetensors --rate 0 mine.csv
refuses "held-out 100" --model "$model" --out no.safetensors --held-out 100 mine.csv
refuses "usage" --nonsense
expect "nothing was written" [ ! -e no.safetensors ]
finish
