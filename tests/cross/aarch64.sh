#!/bin/sh
# Builds for aarch64 and runs checkkernels, and tests of what is built on kernels, under QEMU, so that
# those for NEON are tested on a machine without it. Programs that start threads are left out, because
# QEMU cannot start them everywhere. Exit status 77: something that this needs is not installed. As root on Debian:
#
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static \
#     libcmocka-dev:arm64
#
#   sh tests/cross/aarch64.sh [BUILD_DIR]                        default: build-aarch64
#
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build-aarch64}
for command in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64-static; do
  command -v "$command" > /dev/null || { echo "aarch64.sh: no $command" >&2; exit 77; }
done
PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config --exists cmocka ||
  { echo "aarch64.sh: no cmocka for arm64" >&2; exit 77; }

rm -rf "$build"
meson setup "$build" --cross-file tests/cross/aarch64.ini -Dbuildtype=release -Dwerror=true \
  -Dblas=none -Dexamples=disabled -Dglowtool=disabled -Dtests=enabled
programs="checkkernels test_linalg test_spline"
for program in $programs; do
  ninja -C "$build" "tests/$program"
  timeout -k 5 $((150 * $(sh tests/patience.sh))) qemu-aarch64-static -L /usr/aarch64-linux-gnu "$build/tests/$program"
done
