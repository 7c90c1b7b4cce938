#!/bin/sh
# Prints what the time limits of tests are to be multiplied by on this machine as busy as it is now:
#   meson test -C build -t "$(sh tests/patience.sh [FACTOR])"
# The limits in meson.build are for a quiet machine. A test that shares its cores with what is running
# already takes 1 + load / cores times as long; twice that is allowed, since load comes and goes. So a test
# that hangs is still ended. FACTOR: how much slower the programs themselves are, under a sanitizer, say.
# SPDX-License-Identifier: MIT
set -eu
load=$(cut -d ' ' -f 1 /proc/loadavg 2> /dev/null || echo 0)
cores=$(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)
awk -v load="$load" -v cores="$cores" -v factor="${1:-1}" \
  'BEGIN { print int(2 * factor * (1 + load / cores) + 0.5) }'
