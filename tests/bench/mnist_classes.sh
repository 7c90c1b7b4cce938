#!/bin/sh
# Measures a class-conditional Glow on MNIST: how well its classifier does on digits that it has not seen,
# whether digits drawn for a class look like that class, and what images without labels are good for.
# These are the figures of docs/experiments.md.
#
#   sh tests/bench/mnist_classes.sh BUILD_FOLDER MNIST_FOLDER RESULTS_FOLDER [option of train ...]
#
# MNIST_FOLDER has the files train*-images-*, train*-labels-*, t10k-images-*, t10k-labels-*, plain, .gz
# or .xz. Prints one line for each figure; models, logs and pictures stay in RESULTS_FOLDER.
# SPDX-License-Identifier: MIT
set -eu
[ $# -ge 3 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
build=$1 data=$2 out=$3
shift 3
tool=$build/examples/glowtool/glowtool
judge=$build/tests/judge_digits
mkdir -p "$out"

# plain NAME PATTERN: unpacks the one file of this pattern.
plain() {
  # shellcheck disable=SC2086
  set -- "$1" "$data"/$2
  [ $# -eq 2 ] && [ -f "$2" ] || { echo "mnist_classes: not one file: $2" >&2; exit 1; }
  case $2 in
  *.xz) xz -dc "$2" >"$out/$1" ;;
  *.gz) gzip -dc "$2" >"$out/$1" ;;
  *) cp "$2" "$out/$1" ;;
  esac
}
plain images 'train*-images*'
plain labels 'train*-labels*'
plain test-images 't10k-images*'
plain test-labels 't10k-labels*'

# learn NAME OPTIONS: trains one model, testing it on 1,000 of the test digits while it learns and on all
# of them at the end.
learn() {
  name=$1
  shift
  nice "$tool" train --data "$out/images" --labels "$out/labels" --test "$out/test-images" \
    --test-labels "$out/test-labels" --preset mnist-classes --out "$out/$name" --overwrite \
    --quiet --no-checkpoints --save-every 0 --sample-every 0 --test-every 1000 "$@"
  nice "$tool" eval "$out/$name/$model" --data "$out/test-images" --labels "$out/test-labels" \
    --json >"$out/$name/eval.json"
  echo "$name: $(cat "$out/$name/eval.json")"
}
model="model-average.safetensors"

learn all "$@"
for temperature in 0.7 0.5; do
  echo "drawn: $("$judge" "$out/all/$model" "$out/images" "$out/labels" "$out/test-images" \
    "$out/test-labels" $temperature)"
done
learn tenth --labelled 0.1 --labelled-times 9 "$@"
# This has half of the steps, because more only overfit, as held-out training digits showed.
learn tenth-alone --labelled 0.1 --only-labelled --steps 2000 "$@"
