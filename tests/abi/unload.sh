#!/bin/sh
# Loads, uses and unloads the library: alone, and where valgrind is installed in it, which then finds no
# block of memory that is still there. Usage: unload.sh PROGRAM LIBRARY. SPDX-License-Identifier: MIT
set -eu
"$1" "$2"
if ! command -v valgrind > /dev/null; then
  echo "no valgrind: memory was not looked at"
  exit 0
fi
if nm -D "$2" | grep -qE ' __(asan|ubsan|tsan|msan|gcov)_'; then
  echo "a build with a sanitizer does not run in valgrind"
  exit 0
fi
valgrind --quiet --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all \
  --error-exitcode=9 "$1" "$2"
