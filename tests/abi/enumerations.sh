#!/bin/sh
# Every constant of an enumeration of kinds in the public headers (values of 100 and more; smaller
# ones are flags, levels and streams) is one that tests/contract/test_enumerations.c tries.
#
#     enumerations.sh ROOT
#
# SPDX-License-Identifier: MIT
set -eu
test_file=$1/tests/contract/test_enumerations.c
found=0
missing=0
# Comments away and lines joined: a value may stand on the line below its name.
for name in $(cat "$1"/include/glow/*.h "$1"/include/glow/sys/*.h | tr '\n' ' ' |
  sed 's,/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/,,g' |
  grep -o '[^A-Z0-9_]GLOW_[A-Z0-9_]* *= *[0-9][0-9][0-9][0-9]*' |
  grep -o 'GLOW_[A-Z0-9_]*' | grep -v '^GLOW_E_'); do
  found=$((found + 1))
  if ! grep -q "[^A-Z0-9_]${name}[^A-Z0-9_]" "$test_file"; then
    echo "$name: not in $test_file"
    missing=$((missing + 1))
  fi
done
[ "$found" -ge 60 ] || { echo "only $found constants found in the headers"; exit 1; }
[ "$missing" -eq 0 ]
echo "$found constants"
