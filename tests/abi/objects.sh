#!/bin/sh
# Checks, by their symbols, what the objects of the library use of each other: a folder of lib/ uses
# only itself and folders before it in the list, whatever it includes. Nets and layers are plug-ins
# like those of others: besides math/ and their own folder they use only public functions.
# Usage: objects.sh STATIC_LIBRARY MAP, where the objects are called FOLDER_FILE.c.o, and MAP lists the
# public functions (lib/libglow.map). SPDX-License-Identifier: MIT
set -eu
library=$1 map=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n 's/^ *\(glow_[a-z0-9_]*\);.*/\1/p' "$map" > "$work/public"
nm -A -P "$library" > "$work/symbols"
[ -s "$work/public" ] && [ -s "$work/symbols" ] || { echo "no symbols in $library or $map"; exit 1; }

awk '
  BEGIN { # siblings have one rank
    split("base math host nets layers presets train io check", name)
    split("1    2    3    4    4      5       6     7  8", rank)
    for (i in name)
      rank_of[name[i]] = rank[i]
  }
  FILENAME == ARGV[1] { public[$1] = 1; next }
  { # LIBRARY[FOLDER_FILE.c.o]: NAME TYPE ...
    object = $1
    sub(/^.*\[/, "", object)
    sub(/\]?:$/, "", object)
    sub(/^.*\//, "", object) # of a thin archive: a path
    folder = object
    sub(/_.*/, "", folder)
    if (!(folder in rank_of)) {
      if (!said[object]++)
        print object ": its folder is not in the list"
      bad = 1
    } else if ($3 == "U") {
      use[object SUBSEP $2] = folder
    } else if ($3 ~ /^[A-Z]$/) {
      home[$2] = folder
    }
  }
  END {
    for (both in use) {
      split(both, part, SUBSEP)
      object = part[1]; symbol = part[2]; from = use[both]
      if (!(symbol in home) || home[symbol] == from)
        continue
      to = home[symbol]
      uses = object " uses " symbol " of lib/" to ": "
      plug_in = from == "nets" || from == "layers"
      if (rank_of[to] > rank_of[from]) {
        print uses "lib/" from " stands above it"
        bad = 1
      } else if (plug_in && to != "math" && !(symbol in public)) {
        print uses "nets and layers use public functions, math/ and their own folder"
        bad = 1
      }
      crossed++
    }
    for (i in home)
      defined++
    print defined + 0 " symbols, " crossed + 0 " uses from one folder to another"
    exit bad
  }' "$work/public" "$work/symbols"
