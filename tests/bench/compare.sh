#!/bin/sh
# Runs glow-bench and PyTorch in turn, several times, and prints the ratio of medians for each figure: how
# many times as fast libglow is, and what part of PyTorch's memory it takes. The last line is JSON.
#
#   sh tests/bench/compare.sh [BUILD_DIR [ROUNDS]]
#
#   eval, sample_N          the paper's CIFAR-10 model: log-likelihood of 16, N samples
#   eval_form, ...          the same with its inference form
#   train, train_...        a training step of 16, in each mode
#   memory_...              peak resident set of a training step, in each mode
#   beyond_...              the same without parameters, gradients and Adam's two averages, on both sides
#   working_...             libglow's workspace without gradients, by glow_workspace_plan_bytes, over PyTorch's
#                           "beyond"
#   flow2d_..._N            the 2-D flow of torch_flow2d.py: log-probability and sampling of N
#
# GLOW_TORCH_BENCH names the reference's torch_bench.py (default ../shared/bench/torch_bench.py beside
# the checkout), GLOW_PYTHON a python3 that has PyTorch, GLOW_BENCH_ARGS more arguments for glow-bench,
# GLOW_MODEL_ARGS another size of the Glow on both sides ("--depth 4 --hidden 64").
# On busy machines single figures mislead: so the two sides take turns, each run gives its best, and the
# medians over all rounds are compared. SPDX-License-Identifier: MIT
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

# piece NAME COMMAND...: makes one run of a round; the command prints one piece of JSON.
piece() {
  name=$1
  shift
  "$@" >"$work/$name.$i" 2>"$work/errors" || { cat "$work/errors" >&2; exit 1; }
}
i=0
while [ "$i" -lt "$rounds" ]; do
  i=$((i + 1))
  # shellcheck disable=SC2086 # arguments
  piece glow "$build/tests/glow-bench" --json --inference-form --repeat 4 ${GLOW_MODEL_ARGS:-} \
    ${GLOW_BENCH_ARGS:-}
  # shellcheck disable=SC2086
  piece torch "$python" "$torch" --repeat 2 ${GLOW_MODEL_ARGS:-}
  for batch in 1 64; do
    # shellcheck disable=SC2086
    piece "torch$batch" "$python" "$torch" --repeat 2 --what sample --batch "$batch" \
      ${GLOW_MODEL_ARGS:-}
  done
  for batch in 1 16384; do
    piece "flow2d$batch" "$build/tests/glow-bench" --json --model flow2d --what eval,sample \
      --batch "$batch" --sample-batches "$batch"
  done
  piece torch_flow2d "$python" "$top/tests/bench/torch_flow2d.py"
  echo "compare.sh: round $i of $rounds" >&2
done

"$python" - "$work" "$rounds" <<'END_PYTHON'
import json, statistics, sys

folder, rounds = sys.argv[1], int(sys.argv[2])


def read(name):
    return [json.load(open(f"{folder}/{name}.{i + 1}")) for i in range(rounds)]


def run_of(report, what, mode, batch):
    return next(r for r in report["runs"] if (r["what"], r["mode"], r["batch"]) == (what, mode, batch))


def median(values):
    return statistics.median(list(values))


out = {}


def faster(key, theirs, their_key, ours, *run):
    ours = median(run_of(report, *run)["best_s"] for report in ours)
    theirs = median(report[their_key] for report in theirs)
    out[key] = round(theirs / ours, 3)
    print(f"{key:24} {ours * 1e3:12.4f} ms  PyTorch {theirs * 1e3:12.4f} ms  {theirs / ours:8.3f} times as fast")


def smaller(key, theirs, ours, unit="MiB"):
    out[key] = round(ours / theirs, 3)
    print(f"{key:24} {ours:12.1f} {unit} PyTorch {theirs:12.1f} {unit} {ours / theirs:8.3f} of it")


glow, torch = read("glow"), read("torch")
for mode in "inference", "form":
    end = "_form" if mode == "form" else ""
    faster("eval" + end, torch, "eval_s", glow, "eval", mode, 16)
    for batch in 1, 16, 64:
        name = "torch" if batch == 16 else f"torch{batch}"
        faster(f"sample_{batch}{end}", read(name), "sample_s", glow, "sample", mode, batch)
vectors = 4 * 4 * glow[0]["params"] / 2**20
rss = median(report["peak_rss_mb"] for report in torch)
for mode in "stored", "reconstructed":
    key = "train" if mode == "stored" else "train_" + mode
    faster(key, torch, "train_s", glow, "train", mode, 16)
for mode in "stored", "reconstructed":
    runs = [run_of(report, "train", mode, 16) for report in glow]
    smaller("memory_" + mode, rss, median(r["rss_mib"] for r in runs))
    smaller("beyond_" + mode, rss - vectors, median(r["beyond_mib"] for r in runs))
    smaller("working_" + mode, rss - vectors, median(r["working_mib"] for r in runs))
for batch in 1, 16384:
    flow = read(f"flow2d{batch}")
    for what in "eval", "sample":
        key = f"flow2d_{what}_{batch}"
        faster(key, read("torch_flow2d"), f"{what}_{batch}_s", flow, what, "inference", batch)
out["sample"] = out["sample_16"]
for what, mode in ("eval", "inference"), ("eval", "form"), ("sample", "form"), ("train", "stored"):
    key = f"peak_{what}" + ("_form" if mode == "form" else "")
    runs = [run_of(report, what, mode, 16) for report in glow]
    out[key] = round(median(run["of_peak"] for run in runs), 3)
    best = max(run["best_of_peak"] for run in runs)
    print(f"{key:24} {out[key]:12.3f} of the cores' multiply-adds, in the best run {best:.3f}")
print(json.dumps(out))
END_PYTHON
