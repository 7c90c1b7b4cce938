#!/bin/sh
# The libraries that libglow.so is linked with: those of the C compiler, and no other. A BLAS library is
# loaded when it is asked for. Usage: needed.sh LIBRARY. SPDX-License-Identifier: MIT
set -eu
command -v readelf > /dev/null || { echo "no readelf"; exit 77; }
needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
[ -n "$needed" ] || { echo "$1 needs no library, not even that of C"; exit 1; }
failed=0
for library in $needed; do
  case $library in
  libc.* | libm.* | libpthread.* | libdl.* | ld-linux* | libgcc_s.*) ;;
  # of sanitizers and coverage
  libasan.* | libubsan.* | libtsan.* | liblsan.* | libclang_rt.* | libstdc++.*) ;;
  *) echo "$1 needs $library"; failed=1 ;;
  esac
done
exit $failed
