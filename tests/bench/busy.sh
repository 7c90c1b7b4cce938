#!/bin/sh
# Measures how much a busy program beside it slows libglow down: it times a training step of a small
# Glow, alone and beside one busy loop, in turn. When all cores are in use, the loop takes its share of
# them; no more than that share may be lost by waiting for threads that do not run.
#
#   sh tests/bench/busy.sh [BUILD_DIR [ROUNDS]]
#
# GLOW_THREADS: threads of libglow (default: one for each core). SPDX-License-Identifier: MIT
set -eu
build=${1:-$(cd "$(dirname "$0")/../.." && pwd)/build}
rounds=${2:-5}
threads=${GLOW_THREADS:-$(nproc)}
loop=
trap '[ -z "$loop" ] || kill "$loop"' EXIT

step() {
  "$build/tests/glow-bench" --json --what train --modes stored --depth 8 --hidden 256 --repeat 5 \
    --threads "$threads" | sed -n 's/.*"median_s": \([0-9.e+-]*\).*/\1/p'
}

# Prints the seconds of processor time that process $1 has used.
used() {
  awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$1/stat"
}

# median NAME VALUE...: prints the median of the values of a figure.
median() {
  printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

alone='' beside='' shares=''
for _ in $(seq "$rounds"); do
  alone="$alone $(step)"
  sh -c 'while :; do :; done' &
  loop=$!
  before=$(date +%s.%N)
  beside="$beside $(step)"
  after=$(date +%s.%N)
  share=$(echo "$(used "$loop") $before $after $(nproc)" | awk '{ print $1 / ($3 - $2) / $4 }')
  shares="$shares $share"
  kill "$loop"
  wait "$loop" 2>/dev/null || true
  loop=
done
# shellcheck disable=SC2086 # lists
set -- "$(median $alone)" "$(median $beside)" "$(median $shares)"
echo "$1 $2 $3" | awk -v threads="$threads" '{
  printf "%d threads: a step takes %.4f s alone, %.4f s beside a busy loop: %.2f of its speed.\n",
         threads, $1, $2, $1 / $2
  printf "The loop had %.2f of the cores, which leaves %.2f.\n", $3, 1 - $3
}'
