#!/bin/sh
# Builds for another platform, in build-PLATFORM, and runs tests there: docs/platforms.md. Exit status 77: something
# that this needs is missing, and the last line says what. tests/install-deps.sh cross installs the compilers and QEMU.
#
#   sh tests/cross/run.sh PLATFORM [MESON TEST OPTION...]     PLATFORM: aarch64, armhf, i386, musl, s390x
#
# Without options it runs all tests but those of this machine: of the documents, the installed copy, and the interface.
# SPDX-License-Identifier: MIT
set -eu
cd "$(dirname "$0")/../.."

skip() {
  echo "run.sh: $1"
  exit 77
}

# The compiler, and whose libraries it links (root.sh). Where programs run in QEMU: its name, and what their files have
# in bytes 0 to 5 (ELF, the size of a word, the order of bytes) and 18 to 19 (the machine).
platform=${1:-}
[ $# -eq 0 ] || shift
qemu=""
case $platform in
aarch64)
  compiler=aarch64-linux-gnu-gcc architecture=arm64
  qemu=aarch64 start='\x7fELF\x02\x01' machine='\xb7\x00'
  ;;
armhf)
  compiler=arm-linux-gnueabihf-gcc architecture=armhf
  qemu=arm start='\x7fELF\x01\x01' machine='\x28\x00'
  ;;
i386) compiler=i686-linux-gnu-gcc architecture=i386 ;;
musl) compiler=musl-gcc architecture=musl ;;
s390x)
  compiler=s390x-linux-gnu-gcc architecture=s390x
  qemu=s390x start='\x7fELF\x02\x02' machine='\x00\x16'
  ;;
*)
  echo "usage: run.sh aarch64|armhf|i386|musl|s390x [MESON TEST OPTION...]" >&2
  exit 2
  ;;
esac
command -v $compiler > /dev/null || skip "no $compiler"

# The kernel starts programs of the platform, and scripts do not notice. Where it has not been told how, it is told so in a
# namespace of this script alone (Linux 6.7).
if [ -n "$qemu" ] && [ ! -e /proc/sys/fs/binfmt_misc/qemu-$qemu ]; then
  [ "${GLOW_CROSS_ALONE:-}" != yes ] || skip "the kernel does not take qemu-$qemu-static for programs of $platform"
  emulator=$(command -v qemu-$qemu-static) || skip "no qemu-$qemu-static"
  zeros='\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
  known='\xff\xff\xff\xff\xff\xff'
  export GLOW_CROSS_ALONE=yes
  export GLOW_CROSS_RULE=":qemu-$qemu:M::$start$zeros$machine:$known$zeros\\xff\\xff:$emulator:F"
  unshare --user --map-root-user --mount sh -c '
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && printf "%s" "$GLOW_CROSS_RULE" > /proc/sys/fs/binfmt_misc/register
  ' 2> /dev/null || skip "the kernel starts no programs of $platform: install binfmt-support and qemu-user-static"
  exec unshare --user --map-root-user --mount sh -c '
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    printf "%s" "$GLOW_CROSS_RULE" > /proc/sys/fs/binfmt_misc/register
    exec sh "$@"
  ' run.sh "$0" "$platform" "$@"
fi

root=$PWD/build-root-$architecture
sh tests/cross/root.sh "$architecture" "$root"
printf "[constants]\\nroot = '%s'\\n" "$root" > "$root/meson.ini"
export QEMU_LD_PREFIX="$root" # the loader and the libraries of its programs

build=build-$platform
sh tests/configure.sh "$build" --cross-file "$root/meson.ini" --cross-file "tests/cross/$platform.ini" -Dwerror=true \
  -Dblas=none -Dmpi=disabled -Ddocs=disabled -Dtests=enabled -Dglowtool=enabled
[ $# -gt 0 ] || set -- --no-suite abi --no-suite consumers --no-suite docs
patience=1
if [ -n "$qemu" ]; then
  patience=10                   # emulated programs take that much longer,
  export GLOW_TEST_EMULATED=yes # and their process has the emulator's memory too
fi
rm -f "$build/meson-logs/testlog.json"
set +e
meson test -C "$build" --print-errorlogs -t "$(sh tests/patience.sh $patience)" "$@"
status=$?
python3 tests/count.py "$build/meson-logs/testlog.json" && [ $status -eq 0 ]
