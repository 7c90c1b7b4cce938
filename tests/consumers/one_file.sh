#!/bin/sh
# glow.c and glow.h, as packaging/amalgamate.py writes them: they compile without a warning, with
# and without their parts; glow.h is C99 and C++11; nothing but the interface has a symbol; and
# programs get the same bits as from the library.
# Usage: one_file.sh SOURCE_ROOT C_COMPILER CXX_COMPILER FOLDER_OF_LIBGLOW (CXX_COMPILER may be
# empty). With GLOW_TEST_EXHAUSTIVE=1 it takes -O3 instead of -O1, and all models of tests/bits.
# Exit status 77: no Python. SPDX-License-Identifier: MIT
set -eu
root=$1 cc=$2 cxx=$3 library=$4
command -v python3 > /dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
optimisation=-O1 step=8
[ "${GLOW_TEST_EXHAUSTIVE:-0}" != 1 ] || optimisation=-O3 step=1
warnings="-Wall -Wextra -Werror"

python3 "$root/packaging/amalgamate.py" "$work"
cd "$work"
wc -lc glow.c glow.h
# shellcheck disable=SC2086 # several words
{
  $cc $optimisation $warnings -c glow.c
  $cc $warnings -O0 -c -DGLOW_NO_FILES -DGLOW_NO_SIMD -DGLOW_DEBUG \
    -DGLOW_BLAS_LIBRARY='"libopenblas.so.0"' -std=c11 glow.c -o without.o
  $cc $warnings -Wpedantic -std=c99 -fsyntax-only -x c glow.h
  [ -z "$cxx" ] || $cxx $warnings -Wpedantic -std=c++11 -fsyntax-only -x c++ glow.h
}
if nm -g --defined-only glow.o | awk '$3 !~ /^glow_/' | grep .; then
  echo "symbols of glow.o that do not begin with glow_"
  exit 1
fi

# The same objects, with glow.o and with the library; <glow/...> is glow.h, which knows what it has.
tests=$root/tests
for source in consumers/one_file.c bits/measure.c bits/subjects.c support/model_helpers.c; do
  # shellcheck disable=SC2086
  $cc $warnings -include glow.h -I "$root/include" -c "$tests/$source"
done
# shellcheck disable=SC2086
$cc one_file.o measure.o subjects.o model_helpers.o glow.o -lcmocka -lm -pthread -o by_file
# shellcheck disable=SC2086
$cc one_file.o measure.o subjects.o model_helpers.o -L "$library" -Wl,-rpath,"$library" -lglow \
  -lcmocka -lm -o by_library
[ "$(ldd by_file | grep -c libglow)" = 0 ] || { echo "by_file needs libglow"; exit 1; }
./by_file $step > file.txt || { cat file.txt; exit 1; }
./by_library $step > library.txt || { cat library.txt; exit 1; }
diff library.txt file.txt || { echo "other bits than the library's"; exit 1; }
awk '!/^\[/ { lines++; kernels[$1] = 1 }
  END { printf "%d hashes are the same, with kernels", lines
        for (name in kernels) printf " %s", name; print ""; exit lines < 20 }' file.txt
