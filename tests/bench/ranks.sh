#!/bin/sh
# Sets ranks of one thread each beside one process with as many threads: training of the paper's
# CIFAR-10 model (L 3, K 32, width 512), in turn. Needs a build with -Dmpi=enabled; otherwise it ends
# with status 77.
#
#   sh tests/bench/ranks.sh [BUILD_DIR [ROUNDS [STEPS [RANKS]]]]
#
# The first step of each run is left out. A round's figure is the median of its steps, and the ratio
# is the median over the rounds. Beside it stands the time that other programs have taken of the
# processors meanwhile: with more than some per cent of that, figures mean little. GLOW_TRAIN_ARGS
# are more arguments for `glowtool train`. SPDX-License-Identifier: MIT
set -eu
build=$(realpath "${1:-$(dirname "$0")/../../build}")
rounds=${2:-5} steps=${3:-5} ranks=${4:-2}
tool=$build/examples/glowtool/glowtool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
command -v mpirun > /dev/null || { echo "skipped: mpirun is not there" >&2; exit 77; }

# train FOLDER WORD ...: these words, and then a run.
train() {
  folder=$work/$1
  shift
  # shellcheck disable=SC2086
  "$@" "$tool" train --preset cifar10 --format shapes --images 64 --test-images 1 --batch 16 \
    --init-images 16 --steps "$steps" ${GLOW_TRAIN_ARGS:-} --report-every 1 --test-every 0 \
    --sample-every 0 --samples 1 --save-every 0 --no-checkpoints --overwrite --quiet \
    --threads "$threads" --out "$folder" > "$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
}

cat > "$work/round.py" << 'END'
import json, pathlib, statistics, sys
folder, ranks = pathlib.Path(sys.argv[1]), sys.argv[2]

def read(run):
    events = [json.loads(line) for line in open(folder / run / "log.jsonl")]
    steps = [e for e in events if e["event"] == "step"]
    ends = [0] + [16 * e["step"] / e["images_per_second"] for e in steps]
    return steps[1:], statistics.median(b - a for a, b in zip(ends[1:], ends[2:]))

_, one = read("one")
steps, joined = read("ranks")
if "sum_seconds" not in steps[0]:
    sys.exit(77)
sums, waits = (statistics.median(e[k] for e in steps) for k in ("sum_seconds", "wait_seconds"))
print(f"one process {16 / one:.2f} images/s, {ranks} ranks {16 / joined:.2f}: {one / joined:.3f};",
      f"of a step's {joined:.2f} s, sums take {sums:.2f}, of which {waits:.2f} are waited")
open(folder / "ratios", "a").write(f"{16 / one} {16 / joined} {one / joined}\n")
END

# Seconds: of the processors, all programs; of what this script's programs have used.
used() { awk '/^cpu / { print ($2 + $3 + $4 + $7 + $8) / 100 }' /proc/stat; }
own() { awk '{ print ($14 + $15 + $16 + $17) / 100 }' /proc/$$/stat; }
used0=$(used) own0=$(own) begun=$(date +%s)
for _ in $(seq "$rounds"); do
  threads=$ranks
  train one env
  threads=1
  train ranks mpirun -n "$ranks" --bind-to none
  python3 "$work/round.py" "$work" "$ranks"
done
echo "$used0 $(used) $own0 $(own) $begun $(date +%s) $(nproc)" | awk '{
  printf "other programs took %.1f %% of the processors\n", 100 * ($2 - $1 - $4 + $3) / ($6 - $5) / $7 }'
for column in 1 2 3; do sort -g -k $column,$column "$work/ratios" | awk -v c=$column '{ v[NR] = $c }
  END { printf "%.3f ", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; done |
  awk '{ print "medians: one process " $1 " images/s, ranks " $2 "; ratio " $3 }'
