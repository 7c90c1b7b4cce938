#!/bin/sh
# Makes the learning curve on CIFAR-10 of docs/performance-log.md: L 3, K 8, width 128, affine, LU, batch
# 32, Adam 1e-3 with 50 steps of warm-up, actnorms initialised from 256 images, 10,000 training images;
# test bits/dim of the first 1000 test images; seeds 0 (1000 steps), 1 and 2 (500 steps), and their mean.
#
#   sh tests/bench/curve.sh DIRECTORY_WITH_DATA OUTPUT_DIRECTORY [BUILD_DIR]
#
# The data directory holds data_batch_1.bin and test_batch.bin, or the same as .xz. GLOW_TRAIN_ARGS
# are more arguments for `glowtool train` ("--products bfloat16").
# SPDX-License-Identifier: MIT
set -eu
[ $# -ge 2 ] || { echo "usage: curve.sh DATA OUTPUT [BUILD_DIR]" >&2; exit 2; }
data=$1
out=$2
build=${3:-$(cd "$(dirname "$0")/../.." && pwd)/build}
mkdir -p "$out"
for name in data_batch_1 test_batch; do
  if [ -f "$data/$name.bin" ]; then
    cp "$data/$name.bin" "$out/$name.bin"
  else
    xz -dc "$data/$name.bin.xz" >"$out/$name.bin"
  fi
done
for seed in 0 1 2; do
  steps=500
  [ "$seed" -ne 0 ] || steps=1000
  # shellcheck disable=SC2086 # arguments
  "$build/examples/glowtool/glowtool" train ${GLOW_TRAIN_ARGS:-} --data "$out/data_batch_1.bin" \
    --test "$out/test_batch.bin" --format cifar10 --levels 3 --depth 8 --hidden 128 --scale sigmoid \
    --batch 32 --micro-batch 32 --lr 1e-3 --warmup 50 --init-images 256 --steps "$steps" \
    --test-every 100 --test-images 1000 --seed "$seed" --json --out "$out/seed$seed" \
    >"$out/seed$seed.jsonl"
done
rm -f "$out/data_batch_1.bin" "$out/test_batch.bin"
python3 - "$out" <<'END'
import json, sys
curves = []
for seed in range(3):
    lines = [json.loads(line) for line in open(f"{sys.argv[1]}/seed{seed}.jsonl")]
    curves.append({line["step"]: line["test"] for line in lines if line.get("test") is not None})
reference = {300: 4.34, 400: 4.27, 500: 4.22, 1000: 4.08}
print("step  seed 0  seed 1  seed 2  mean    PyTorch")
for step in sorted(curves[0]):
    row = [curve.get(step) for curve in curves]
    seen = [value for value in row if value is not None]
    cells = "  ".join("%.4f" % value if value is not None else "  -   " for value in row)
    print("%4d  %s  %.4f  %s" % (step, cells, sum(seen) / len(seen), reference.get(step, "")))
END
