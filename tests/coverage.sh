#!/bin/sh
# Measures which lines and branches of lib/ the tests run, error paths included (tests/fault fails every allocation
# and every system call in turn), and fails below the gate: 98 % of the lines, 92 % of the branches (93.3 % were
# measured; which kernels the CPU has, and timing, make some 0.3 %). Usage:
#   sh tests/coverage.sh [MESON TEST OPTION...]     names of tests, or suites, instead of those that count
# Prints a table, and what is not covered, by file; build-coverage/coverage.html shows it line by line.
# Lines that no test can reach are marked by GCOVR_EXCL_LINE, or GCOVR_EXCL_START and GCOVR_EXCL_STOP, with the
# reason beside the marker. Status 77: gcovr or gcov is missing. SPDX-License-Identifier: MIT
set -u
cd "$(dirname "$0")/.." || exit 1
build="build-coverage"
for tool in gcovr gcov; do
  command -v $tool > /dev/null || { echo "$tool is missing"; exit 77; }
done
# Suite "slow" counts too: test_layer_check alone reaches most of lib/check.
# Suites "bits" and "variants" take minutes here and reach nothing that others do not.
[ $# -gt 0 ] || set -- --no-suite abi --no-suite consumers --no-suite tool --no-suite bits --no-suite variants

compiler=gcc
! command -v ccache > /dev/null || compiler="ccache gcc"
rm -rf $build
CC=$compiler meson setup $build -Dbuildtype=plain -Doptimization=g -Db_coverage=true -Dexamples=disabled &&
  ninja -C $build || exit
meson test -C $build --no-rebuild --print-errorlogs -t "$(sh tests/patience.sh 3)" "$@" || exit
# What a compiler adds to the branches of the source does not count. Of a macro (GLOW_TRY) each use does.
# Threads that count at the same time lose counts, so that a branch whose count is a difference may be left
# with less than nothing: it is passed over. lib/mpi is held by tests of the tool, whose ranks are killed.
report() {
  gcovr --gcov-ignore-parse-errors --root . --filter 'lib/' --exclude 'lib/mpi/' --exclude-throw-branches \
    --exclude-unreachable-branches "$@"
}
report --object-directory $build --json $build/coverage.json || exit
report --add-tracefile $build/coverage.json --branches --txt $build/branches.txt
report --add-tracefile $build/coverage.json --txt $build/lines.txt
for table in branches lines; do
  echo "---- $table not covered, by file"
  grep -v ' 100% *$' $build/$table.txt
done
report --add-tracefile $build/coverage.json --html-details $build/coverage.html --print-summary \
  --fail-under-line 98 --fail-under-branch 92
