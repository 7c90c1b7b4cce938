#!/bin/sh
# Compiles one public header alone, strictly, in every standard from C99 and C++11 on.
# Usage: headers.sh SOURCE_ROOT HEADER C_COMPILER CXX_COMPILER (commands of one or more words;
# with an empty CXX_COMPILER that part is skipped, and the test counts as skipped if the rest passes).
# SPDX-License-Identifier: MIT
set -eu
root=$1 header=$2 cc=$3 cxx=$4
strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only -I $root/include"
program="#include <$header>
#include <$header>
int main(void) { return 0; }"

# shellcheck disable=SC2086 # compilers and their options are split into words
for standard in c99 c11 c17; do
  printf '%s\n' "$program" | $cc -x c -std=$standard $strict -Wstrict-prototypes -
  echo "$header: fine as $standard"
done
if [ -z "$cxx" ]; then
  echo "no C++ compiler"
  exit 77
fi
# shellcheck disable=SC2086
for standard in c++11 c++17 c++20; do
  printf '%s\n' "$program" | $cxx -x c++ -std=$standard $strict -
  echo "$header: fine as $standard"
done
