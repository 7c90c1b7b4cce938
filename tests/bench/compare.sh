#!/bin/sh
# Compares glow-bench with the PyTorch reference, in turn, several times, and prints each ratio of
# medians (above 1: libglow is faster), with one line of JSON last.
#
#   sh tests/bench/compare.sh [BUILD_DIR [ROUNDS]]
#
# GLOW_TORCH_BENCH names the reference's torch_bench.py (default ../shared/bench/torch_bench.py beside
# the checkout), GLOW_PYTHON a python3 that has PyTorch. Busy machines spoil single figures: the two
# sides alternate, and medians of ratios are what counts. SPDX-License-Identifier: MIT
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$top/build}
rounds=${2:-5}
torch=${GLOW_TORCH_BENCH:-$top/../shared/bench/torch_bench.py}
python=${GLOW_PYTHON:-/usr/bin/python3}
[ -f "$torch" ] || { echo "compare.sh: no PyTorch reference at $torch" >&2; exit 77; }
"$python" -c 'import torch' 2>/dev/null || { echo "compare.sh: $python has no PyTorch" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
i=0
while [ "$i" -lt "$rounds" ]; do
  i=$((i + 1))
  "$build/tests/glow_bench" --repeat 2 | tee -a "$work/stored"
  "$python" "$torch" --repeat 2 2>/dev/null | tee -a "$work/torch"
  "$build/tests/glow_bench" --repeat 2 --what train --mode reconstructed | tee -a "$work/reconstructed"
done
"$python" - "$work" <<'END'
import json, statistics, sys
def read(name):
    return [json.loads(line) for line in open(sys.argv[1] + "/" + name)]
torch, stored, flat = read("torch"), read("stored"), read("reconstructed")
def ratio(ours, key):
    return round(statistics.median(t[key + "_s"] / o[key + "_s"] for t, o in zip(torch, ours)), 3)
out = {"eval": ratio(stored, "eval"), "sample": ratio(stored, "sample"), "train": ratio(stored, "train"),
       "train_reconstructed": ratio(flat, "train"),
       "memory_stored": round(stored[0]["peak_rss_mb"] / torch[0]["peak_rss_mb"], 3),
       "memory_reconstructed": round(flat[0]["peak_rss_mb"] / torch[0]["peak_rss_mb"], 3)}
for key, value in out.items():
    print(f"{key:22} {value}")
print(json.dumps(out))
END
