#!/bin/sh
# Checks what the folders of lib/ include: a folder uses only itself and those before it in the list;
# nets and layers use the public headers, math/ and their own folder, as the layers of others do; mpi,
# a library of its own, uses the public headers. Kernels
# are reached through <glow/sys/math.h>. Every source is built. objects.sh checks what objects use of each
# other. Usage: folders.sh SOURCE_ROOT. SPDX-License-Identifier: MIT
set -eu
cd "$1/lib"
order="base math host nets layers presets train io check mpi"
failed=0
complain() {
  echo "$1"
  failed=1
}

above=""
for folder in $order; do
  above="$above $folder"
  case $folder in
  nets | layers) allowed="math $folder" ;;
  mpi) allowed=$folder ;;
  *) allowed=$above ;;
  esac
  for file in "$folder"/*.c "$folder"/*.h; do
    [ -e "$file" ] || continue
    # shellcheck disable=SC2013 # no name of a header has a blank
    for other in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
      case " $allowed " in
      *" ${other%%/*} "*) [ -e "$other" ] && continue ;;
      esac
      complain "lib/$file includes \"$other\": it may use <glow/...> and $allowed"
    done
  done
done

for file in */*.c */*.h; do
  case $file in
  base/* | math/* | presets/context.c) continue ;;
  esac
  if grep -nE '(->|\.)kernels(16)?([^a-z0-9_]|$)' "$file"; then
    complain "lib/$file reaches the table of kernels; <glow/sys/math.h> has what it may use"
  fi
done

for folder in */; do
  case " $order " in
  *" ${folder%/} "*) ;;
  *) complain "lib/$folder is not in the list of folders" ;;
  esac
done
for file in */*.c; do
  grep -q "'$file'" meson.build || complain "lib/$file is not in lib/meson.build"
done
exit $failed
