#!/bin/sh
# Checks that a folder of lib/ includes only itself and folders before it in the list, and that every
# source is built.
# Usage: folders.sh SOURCE_ROOT. SPDX-License-Identifier: MIT
set -eu
cd "$1/lib"
order="base math host nets layers presets train io check"
failed=0

allowed=""
for folder in $order; do
  allowed="$allowed $folder"
  for file in "$folder"/*.c "$folder"/*.h; do
    [ -e "$file" ] || continue
    for other in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
      case " $allowed " in
      *" ${other%%/*} "*) [ -e "$other" ] && continue ;;
      esac
      echo "lib/$file includes \"$other\": it may use $allowed"
      failed=1
    done
  done
done

for folder in */; do
  case " $order " in
  *" ${folder%/} "*) ;;
  *) echo "lib/$folder is not in the list of folders"; failed=1 ;;
  esac
done
for file in */*.c; do
  case $file in
  math/kernels_avx2.c | math/kernels_avx512.c | math/kernels_neon.c) continue ;; # chosen by CPU
  esac
  grep -q "'$file'" meson.build || { echo "lib/$file is not in lib/meson.build"; failed=1; }
done
exit $failed
