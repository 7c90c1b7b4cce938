#!/bin/sh
# Checks small rules about text: line length, tabs, blanks at ends of lines, the licence's name in every
# source, nothing left to be done, and that README's program is examples/score.c.
# Usage: tidy.sh SOURCE_ROOT. SPDX-License-Identifier: MIT
set -eu
cd "$1"
failed=0
complain() {
  echo "$1"
  failed=1
}

sources=$(find include lib examples tests packaging \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.sh' \
  -o -name '*.py' -o -name 'meson.build' -o -name '*.map' \) | LC_ALL=C sort)
sources="$sources meson.build meson_options.txt"
[ ! -e .ci/run ] || sources="$sources .ci/run"

for file in $sources; do
  head -n 40 "$file" | grep -q 'SPDX-License-Identifier[:] MIT' || complain "$file: no licence"
  awk -v file="$file" 'length($0) > 100 && file !~ /[.]sh$/ { print file ":" FNR ": over 100 columns"; bad = 1 }
    /[ \t]$/ { print file ":" FNR ": blank at the end"; bad = 1 }
    /\t/ { print file ":" FNR ": tab"; bad = 1 }
    /FIX[M]E|TO[D]O|(^|[^X])XX[X]([^X]|$)/ { print file ":" FNR ": not done"; bad = 1 }
    END { exit bad }' "$file" || failed=1
done

# The lists in meson.build are written by hand, so a test could be forgotten there.
for file in tests/*/test_*.c tests/checkkernels/*.c examples/glowtool/*.c; do
  case $file in
  tests/*) list=tests/meson.build ;;
  *) list=examples/glowtool/meson.build ;;
  esac
  grep -q "[/']${file##*/}'" "$list" || complain "$file is not in $list"
done

# Functions of the library that print, end the process, or go around the context's allocator.
words='printf|puts|putchar|perror|abort|exit|assert|strdup|calloc|realloc'
if grep -nE "(^|[^_a-zA-Z.>])($words)\(|(stderr|stdout)" lib/*/*.c lib/*/*.h; then
  complain "lib/ prints, aborts or allocates"
fi
if grep -nE '(^|[^_a-zA-Z.>])(malloc|free|qsort)\(' lib/*/*.c lib/*/*.h |
  grep -vE '^lib/(base/memory|presets/context).c:'; then
  complain "lib/ allocates outside the default allocator"
fi

if [ -e README.md ]; then
  sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' | cmp -s - examples/score.c ||
    complain "README.md's program is not examples/score.c"
fi
exit $failed
