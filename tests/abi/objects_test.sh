#!/bin/sh
# Checks that objects.sh finds wrong calls, on libraries of a few lines: one that is right and one for
# each kind of fault. Usage: objects_test.sh FOLDER_OF_OBJECTS_SH C_COMPILER. SPDX-License-Identifier: MIT
set -eu
here=$1 cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'GLOW_0 {\nglobal:\n  glow_open;\n  glow_run;\n  glow_make;\nlocal:\n  *;\n};\n' > "$work/map"

object() { # FOLDER_FILE C_TEXT
  echo "$2" | $cc -x c -c -o "$work/$1.c.o" -
}
check() { # the library of all objects there are
  rm -f "$work/lib.a"
  ar rcs "$work/lib.a" "$work"/*.c.o
  sh "$here/objects.sh" "$work/lib.a" "$work/map"
}
right() {
  rm -f "$work"/*.c.o
  object base_memory 'int glow_open(void) { return 1; } int glow__base(void) { return 2; }'
  object math_sums 'int glow_open(void); int glow__sum(void) { return glow_open(); }'
  object host_run 'int glow__base(void); int glow_run(void) { return glow__base(); }
                   int glow__host(void) { return 1; }'
  object nets_one 'int glow__sum(void); int glow_run(void); int glow__own(void);
                   int glow__net(void) { return glow__sum() + glow_run() + glow__own(); }'
  object nets_two 'int glow__own(void) { return 1; }'
  object layers_one 'int glow_make(void) { return 1; } int glow__layer(void) { return 2; }'
  object io_read 'int glow_make(void); int glow__host(void);
                  int glow__io(void) { return glow_make() + glow__host(); }'
}
refused() { # WORDS
  if check > "$work/out"; then
    echo "not found: $1"
    exit 1
  fi
  grep -qF "$1" "$work/out" || { echo "other words than \"$1\":"; cat "$work/out"; exit 1; }
}

right
check
object host_up 'int glow_make(void); int glow__up(void) { return glow_make(); }'
refused 'host_up.c.o uses glow_make of lib/layers: lib/host stands above it'
right
object base_up 'int glow__sum(void); int glow__up(void) { return glow__sum(); }'
refused 'base_up.c.o uses glow__sum of lib/math: lib/base stands above it'
right
object layers_in 'int glow__host(void); int glow__up(void) { return glow__host(); }'
refused 'layers_in.c.o uses glow__host of lib/host: nets and layers use public functions'
right
object nets_side 'int glow__layer(void); int glow__up(void) { return glow__layer(); }'
refused 'nets_side.c.o uses glow__layer of lib/layers: nets and layers use public functions'
right
object layers_base 'int glow__base(void); int glow__up(void) { return glow__base(); }'
refused 'layers_base.c.o uses glow__base of lib/base: nets and layers use public functions'
right
object other_file 'int glow__other(void) { return 1; }'
refused 'other_file.c.o: its folder is not in the list'
echo "six faults found"
