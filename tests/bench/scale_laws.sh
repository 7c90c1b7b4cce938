#!/bin/sh
# Which scale function of affine couplings keeps samples finite, and what it costs: trains a small Glow
# on CIFAR-10 with each of them and three seeds, and prints for each run its law, floor, seed, bits/dim
# of 1000 test images, and how many of 1000 samples are not finite at temperatures 1 and 0.7. These are
# the figures of docs/experiments.md.
#
#   sh tests/bench/scale_laws.sh BUILD_FOLDER TRAIN_BIN TEST_BIN RESULTS_FOLDER [option of train ...]
#
# TRAIN_BIN and TEST_BIN are data_batch_1.bin and test_batch.bin. LAWS (words law or law:floor), SEEDS and
# STEPS of the environment choose other runs. SPDX-License-Identifier: MIT
set -eu
[ $# -ge 4 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
tool=$1/examples/glowtool/glowtool train=$2 test=$3 out=$4
shift 4
floors="sigmoid-floor:0.05 sigmoid-floor:0.1 sigmoid-floor:0.2 sigmoid-floor:0.3 sigmoid-floor:0.5"
laws=${LAWS:-sigmoid $floors tanh exp}
mkdir -p "$out"

# lost RUN TEMPERATURE: how many of 1000 samples are not finite, as the tool counts them.
lost() {
  nice "$tool" sample "$out/$1/model.safetensors" --count 1000 --temperature "$2" --type float32 \
    --out "$out/$1/drawn.safetensors" 2>"$out/$1/drawn.txt" || { cat "$out/$1/drawn.txt" >&2; exit 1; }
  rm -f "$out/$1/drawn.safetensors"
  count=$(sed -n 's/.*warning: \([0-9]*\) of 1000 samples are not finite.*/\1/p' "$out/$1/drawn.txt")
  echo "${count:-0}"
}

echo "law floor seed bits/dim lost-at-1 lost-at-0.7"
for seed in ${SEEDS:-1 2 3}; do
  for law in $laws; do
    scale=${law%%:*} floor=${law#*:}
    case $law in *:*) set -- --floor "$floor" "$@" ;; *) floor=- ;; esac
    run=$scale-$floor-$seed
    nice "$tool" train --data "$train" --test "$test" --size 16 --levels 2 --hidden 64 \
      --steps "${STEPS:-500}" --test-images 1000 --seed "$seed" --scale "$scale" --quiet \
      --no-checkpoints --save-every 0 --sample-every 0 --test-every 0 --overwrite --out "$out/$run" "$@" >"$out/$run.txt"
    bits=$(sed -n 's/.*"event": "end".*"test": \([0-9.]*\).*/\1/p' "$out/$run/log.jsonl")
    echo "$scale $floor $seed $bits $(lost "$run" 1) $(lost "$run" 0.7)"
    case $law in *:*) shift 2 ;; esac
  done
done
