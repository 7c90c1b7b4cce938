#!/bin/sh
# Debian's packages on a new machine, as a stranger meets them: makes a minimal Debian 12 in a folder,
# installs there what packaging/debian/build.sh has built, by `apt install ./*.deb`, and runs the tests of
# packaging/debian/tests with what they say they need: README's program from C and C++ with pkg-config,
# a project of Meson and one of CMake, Python through ctypes, glowtool with OpenBLAS. Then it removes them,
# and compiles the library as one file, `cc -c glow.c`. Prints how long each took. Needs what machine.sh
# needs, and the packages: exit status 77, with the reason in the last line, without them.
#
#   sh tests/fresh/packages.sh --packages FOLDER [--base FILE.tar] [--keep]
#     --packages FOLDER  what `packaging/debian/build.sh --to FOLDER` has left there
#     --base, --keep     as in run.sh
# SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
release=bookworm

base="" keep=no packages=""
while [ $# -gt 0 ]; do
  case $1 in
  --base | --packages)
    [ $# -ge 2 ] || { echo "packages.sh: $1 needs a value" >&2; exit 2; }
    if [ "$1" = --base ]; then base=$2; else packages=$2; fi
    shift
    ;;
  --keep) keep=yes ;;
  *) echo "packages.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
if ! ls "$packages"/libglow0_*.deb > /dev/null 2>&1; then
  echo "no packages: sh packaging/debian/build.sh --to FOLDER, and --packages FOLDER"
  exit 77
fi

. "$root/tests/fresh/machine.sh"

# on_machine NAME COMMAND...: its output is shown where it fails, or at its end where it says something.
on_machine() {
  name=$1
  shift
  inside "$@" > "$work/log" 2>&1 || wrong "$name"
}
install() {
  on_machine "apt cannot install $*" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@"
}

# The source is there as autopkgtest has it: the tarball with debian/.
mkdir "$machine/root/libglow"
tar -xJf "$packages"/libglow_*.orig.tar.xz -C "$machine/root/libglow" --strip-components=1
tar -xJf "$packages"/libglow_*.debian.tar.xz -C "$machine/root/libglow"
cp "$packages"/*.deb "$machine/root/libglow"
tell "a new machine"

on_machine "apt-get update" apt-get update -q
tell "apt-get update"
rm -f "$machine"/root/libglow/*-dbgsym_*.deb
# shellcheck disable=SC2046 # names without blanks
install $(cd "$machine/root/libglow" && echo ./*.deb)
tell "apt-get install ./libglow*.deb ./glowtool*.deb"
on_machine "glowtool does not run" glowtool --version
cat "$work/log"

tests=$(sed -n 's/^Tests: //p' "$machine/root/libglow/debian/tests/control")
for test in $tests; do
  # shellcheck disable=SC2046
  install $(sed -n "/^Tests: $test\$/,/^\$/s/^Depends: //p" "$machine/root/libglow/debian/tests/control" |
    tr ',' '\n' | grep -vE '@|libglow|glowtool')
  tell "what 'debian/tests/$test' needs"
  mkdir "$machine/tmp/$test"
  on_machine "debian/tests/$test fails" env AUTOPKGTEST_TMP="/tmp/$test" "debian/tests/$test"
  tail -n 8 "$work/log" | sed 's/^/   /'
  tell "debian/tests/$test"
done

on_machine "the packages cannot be removed" \
  apt-get purge -q -y libglow0 libglow-dev libglow-doc glowtool
left=$(find "$machine/usr" "$machine/etc" "$machine/var/lib/doc-base" -path '*glow*' ! -path '*/share/icons/*' \
  ! -path '*/terminfo/*' 2> /dev/null | head -n 5)
[ -z "$left" ] || wrong "the packages leave files behind: $left"
tell "apt-get purge leaves nothing"

# Without the packages, so that nothing else is found.
on_machine "the library as one file" sh -c 'set -e
  mkdir /tmp/one
  python3 packaging/amalgamate.py /tmp/one
  sed "s:<glow/glow.h>:\"glow.h\":" examples/minimal.c > /tmp/one/minimal.c
  cd /tmp/one
  cc -c glow.c
  cc minimal.c glow.o -lm -pthread -o minimal
  ./minimal'
tail -n 1 "$work/log"
tell "cc -c glow.c"
