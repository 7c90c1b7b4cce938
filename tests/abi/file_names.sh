#!/bin/sh
# Of several versions of the library with one soname in a folder, ldconfig takes the newest, whatever
# the project's version does. Usage: file_names.sh FILE_NAME SOVERSION VERSION C_COMPILER, the first
# three those of this build. SPDX-License-Identifier: MIT
set -eu
built=$1 soversion=$2 version=$3 cc=$4
PATH=$PATH:/usr/sbin:/sbin
command -v ldconfig > /dev/null || { echo "no ldconfig"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

name_of() { # VERSION, as lib/meson.build makes the name
  echo "$1" | awk -F. -v n="$soversion" '{ printf "libglow.so.%s.%d.%d\n", n, $1 * 100 + $2, $3 }'
}
[ "$built" = "$(name_of "$version")" ] || { echo "$version is called $built"; exit 1; }

echo 'int nothing;' > "$work/nothing.c"
for version in 0.2.0 0.2.10 0.2.9 0.10.0 0.9.2 1.0.0 1.2.0 1.10.0 2.0.0; do
  # shellcheck disable=SC2086
  $cc -shared -fPIC -Wl,-soname,libglow.so."$soversion" -o "$work/$(name_of $version)" "$work/nothing.c"
  versions="${versions:-} $version"
  # shellcheck disable=SC2086
  newest=$(printf '%s\n' $versions | sort -V | tail -n 1)
  ldconfig -n "$work"
  [ "$(readlink "$work/libglow.so.$soversion")" = "$(name_of "$newest")" ] ||
    { echo "of $versions ldconfig takes $(readlink "$work/libglow.so.$soversion")"; exit 1; }
done
echo "ldconfig takes the newest of$versions"
