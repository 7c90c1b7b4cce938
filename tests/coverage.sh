#!/bin/sh
# Measures which lines and branches of lib/ the tests run, error paths included (tests/fault fails every allocation
# and every system call in turn), and fails below the gate: 98 % of the lines, 92 % of the branches. Usage:
#   sh tests/coverage.sh [MESON TEST OPTION...]     names of tests, or suites, instead of all that count
# Prints a table, and what is not covered, by file; build-coverage/coverage.html shows it line by line.
# Lines that no test can reach are marked by GCOVR_EXCL_LINE, or GCOVR_EXCL_START and GCOVR_EXCL_STOP, with the
# reason beside the marker. Status 77: gcovr or gcov is missing. SPDX-License-Identifier: MIT
set -u
cd "$(dirname "$0")/.." || exit 1
build="build-coverage"
for tool in gcovr gcov; do
  command -v $tool > /dev/null || { echo "$tool is missing"; exit 77; }
done
# Suite "slow" puts the same code to many more shapes, and covers nothing that the others do not.
[ $# -gt 0 ] || set -- --no-suite abi --no-suite consumers --no-suite tool --no-suite slow

compiler=gcc
! command -v ccache > /dev/null || compiler="ccache gcc"
rm -rf $build
CC=$compiler meson setup $build -Dbuildtype=plain -Doptimization=g -Db_coverage=true -Dexamples=disabled &&
  ninja -C $build || exit
meson test -C $build --no-rebuild --print-errorlogs -t "$(sh tests/patience.sh 3)" "$@" || exit
# Vector kernels are the same lines once for each instruction set: a line counts if one of them runs it. Of a branch
# in a macro (GLOW_TRY) each use counts. Calls do not count as branches, nor does what the compiler adds.
gcovr --root . --filter 'lib/' --object-directory $build \
  --exclude-throw-branches --exclude-unreachable-branches --merge-mode-functions=separate \
  --html-details $build/coverage.html --txt-metric branch --txt $build/branches.txt \
  --txt $build/lines.txt --print-summary --fail-under-line 98 --fail-under-branch 92
