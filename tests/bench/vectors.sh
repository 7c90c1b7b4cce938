#!/bin/sh
# Flows for vectors, in turn with PyTorch: the spline flow in six dimensions beside zuko and nflows
# (torch_spline6d.py), and the 2-D flow beside plain PyTorch (torch_flow2d.py). A figure says how
# many times as fast libglow is as the fastest of the others: the median over the rounds of each
# round's ratio. The last line is JSON. Takes about 40 seconds a round.
#
#   sh tests/bench/vectors.sh [BUILD_DIR [ROUNDS]]
#
# GLOW_PYTHON names a python3 that has torch, zuko and nflows (or one of these); GLOW_TURN a command
# in front of each run, such as "chrt -f 1" where other programs are at work on the same cores.
# SPDX-License-Identifier: MIT
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$top/build}
rounds=${2:-3}
python=${GLOW_PYTHON:-python3}
"$python" -c 'import torch' 2>/dev/null || { echo "vectors.sh: $python has no PyTorch" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# piece NAME COMMAND...: makes one run of a round; the command prints one piece of JSON.
piece() {
  name=$1
  shift
  # shellcheck disable=SC2086 # arguments
  ${GLOW_TURN:-} "$@" >"$work/$name.$i" 2>"$work/errors" || { cat "$work/errors" >&2; exit 1; }
}
i=0
while [ "$i" -lt "$rounds" ]; do
  i=$((i + 1))
  for model in flow2d spline6d; do
    for batch in 1 16384; do
      piece "$model$batch" "$build/tests/glow-bench" --json --model "$model" --what eval,sample \
        --batch "$batch" --sample-batches "$batch"
    done
    piece "torch_$model" "$python" "$top/tests/bench/torch_$model.py" --repeat 3
  done
  piece spline6d512 "$build/tests/glow-bench" --json --model spline6d --what train --batch 512 \
    --modes stored
  echo "vectors.sh: round $i of $rounds" >&2
done

"$python" - "$work" "$rounds" <<'END_PYTHON'
import json, statistics, sys

folder, rounds = sys.argv[1], int(sys.argv[2])
out = {}


def read(name, i):
    return json.load(open(f"{folder}/{name}.{i + 1}"))


def compare(model, what, batch, others):
    ours, theirs, ratios = [], [], []
    for i in range(rounds):
        mine = next(r for r in read(f"{model}{batch}", i)["runs"] if r["what"] == what)["best_s"]
        torch = read("torch_" + model, i)
        best = min(torch[key] for key in (f"{o}{what}_{batch}_s" for o in others) if key in torch)
        ours.append(mine)
        theirs.append(best)
        ratios.append(best / mine)
    key = f"{model}_{what}_{batch}"
    out[key] = round(statistics.median(ratios), 2)
    print(f"{key:24} {statistics.median(ours) * 1e3:10.4f} ms  PyTorch {statistics.median(theirs) * 1e3:10.4f} ms"
          f"  {out[key]:8.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


for model, others in ("flow2d", [""]), ("spline6d", ["zuko_", "nflows_"]):
    for batch in 1, 16384:
        for what in "eval", "sample":
            compare(model, what, batch, others)
compare("spline6d", "train", 512, ["zuko_", "nflows_"])
print(json.dumps(out))
END_PYTHON
