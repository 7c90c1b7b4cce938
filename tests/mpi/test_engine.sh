#!/bin/sh
# The engine over MPI on 1 to 5 ranks, and how a job ends. Usage: test_engine.sh TEST_ENGINE.
# SPDX-License-Identifier: MIT
set -u
program=$1
# shellcheck source=ranks.sh
. "$(cd "$(dirname "$0")" && pwd)/ranks.sh"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
failed=0
wrong() {
  echo "WRONG: $1"
  sed 's/^/  /' "$said"
  failed=1
}
says() { grep -q "$1" "$said" || wrong "nothing like '$1'"; }
# fails N ARGUMENTS...: ends on all ranks, within half a minute, with a failure.
fails() {
  timeout -k 5 30 mpirun -n "$@" > "$said" 2>&1
  code=$?
  [ $code -ne 0 ] && [ $code -ne 124 ] && [ $code -ne 137 ] || wrong "code $code: $*"
}

for n in 1 2 3 5; do
  ranks $n "$program" sums > "$said" 2>&1 || wrong "sums on $n ranks"
done
for algorithm in 1 3 4; do # ring, Rabenseifner's, recursive doubling; a tree by default
  for n in 3 4; do
    OMPI_MCA_coll_libnbc_iallreduce_algorithm=$algorithm ranks $n "$program" sums > "$said" 2>&1 ||
      wrong "sums on $n ranks by algorithm $algorithm"
  done
done
for n in 2 3 4; do
  ranks $n "$program" train > "$said" 2>&1 || wrong "training on $n ranks"
  cat "$said"
done

fails 3 "$program" waits 2
says "rank 0 has waited 2 s for a sum over 3 ranks, without a sign of life of rank 2: "
grep -q WRONG "$said" && wrong "waits"
fails 3 "$program" aborts
says "log: rank 2 ends the job on 3 ranks: its disk is full"
exit $failed
