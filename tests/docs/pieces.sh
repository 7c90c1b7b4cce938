#!/bin/sh
# Compiles and runs the pieces of C in the documents, each on its own (pieces.c). Those of
# docs/custom-layers.md are parts of the examples, which tests/consumers builds and runs; README's
# programs are examples too. Usage: pieces.sh SOURCE_ROOT C_COMPILER FOLDER_OF_LIBGLOW.
# SPDX-License-Identifier: MIT
set -eu
root=$(cd "$1" && pwd) cc=$2 library=$(cd "$3" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

here="docs/tutorial.md docs/diagnosis.md"
cd "$root"
# shellcheck disable=SC2013 # names without blanks
for file in $(grep -l '^```c$' ./*.md docs/*.md); do
  case " $here docs/custom-layers.md ./README.md " in
  *" $file "*) ;;
  *) echo "$file has pieces of C that no test runs"; exit 1 ;;
  esac
done
# shellcheck disable=SC2086 # names of files are words
awk '
  /^```c$/ { print "static void piece_" ++n "(void) {"; inside = 1; at[n] = FILENAME ":" FNR; next }
  /^```$/ && inside { print "}"; inside = 0; next }
  inside { print; if (/glow_trainer_step_target/) vectors[n] = 1 }
  END {
    print "static const struct { void (*run)(void); const char *at; int of_vectors; } pieces[] = {"
    for (i = 1; i <= n; i++)
      print "{piece_" i ", \"" at[i] "\", " vectors[i] + 0 "},"
    print "};"
  }' $here > "$work/pieces.inc"
[ "$(grep -c 'static void piece_' "$work/pieces.inc")" -ge 12 ] || {
  echo "$here: they have lost their pieces of C"
  exit 1
}
$cc -std=c11 -Wall -Wextra -Wno-unused-but-set-variable -Wno-unused-variable -Werror \
  -I include -I "$work" tests/docs/pieces.c -L "$library" -lglow -lm -Wl,-rpath,"$library" \
  -o "$work/pieces"
mkdir "$work/run"
cd "$work"
./pieces
