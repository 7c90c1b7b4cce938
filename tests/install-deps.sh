#!/bin/sh
# Checks that what this project needs is installed, and installs what is missing through apt-get if it
# may (as root, or with a sudo that does not ask for a password), after saying so; otherwise, or with
# --no-install, names the packages and fails. Usage: install-deps.sh [--no-install] [PART ...] with
# parts: build (default), tests, tool, mpi, ci, cross, fresh.
# SPDX-License-Identifier: MIT
set -eu

may_install=yes
if [ "${1:-}" = --no-install ]; then
  may_install=no
  shift
fi
missing=""
log=$(mktemp)
trap 'rm -f "$log"' EXIT
need_command() { # command, Debian package
  command -v "$1" > /dev/null 2>&1 || missing="$missing $2"
}
need_module() { # pkg-config module, Debian package
  { command -v pkg-config && pkg-config --exists "$1"; } > /dev/null 2>&1 || missing="$missing $2"
}

for part in build "$@"; do
  case $part in
  build)
    command -v cc > /dev/null 2>&1 || missing="$missing gcc libc6-dev"
    need_command meson meson
    need_command ninja ninja-build
    need_command pkg-config pkg-config
    ;;
  tests)
    need_module openblas libopenblas-dev # optional: kernels that are loaded when they are asked for
    need_command g++ g++
    need_command nm binutils
    need_module cmocka libcmocka-dev
    ;;
  tool)
    need_module libpng libpng-dev
    need_module libjpeg libjpeg-dev
    need_module libwebp libwebp-dev
    need_module zlib zlib1g-dev
    ;;
  mpi)
    need_command mpirun openmpi-bin
    need_module ompi-c libopenmpi-dev
    ;;
  ci)
    need_command mpicc.mpich libmpich-dev
    need_command abidiff abigail-tools
    need_command clang clang
    need_command cmake cmake
    need_command clang-format-14 clang-format-14
    need_command clang-tidy-14 clang-tidy-14
    need_command gcovr gcovr
    need_command shellcheck shellcheck
    need_command valgrind valgrind
    need_command doxygen doxygen
    need_command mandoc mandoc
    [ -e /usr/share/i18n/locales/de_DE ] || missing="$missing locales" # whose point is a comma
    [ -e /usr/include/blis.h ] || ls /usr/include/*/blis.h > /dev/null 2>&1 ||
      missing="$missing libblis-dev"
    ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan* > /dev/null 2>&1 ||
      missing="$missing libclang-rt-14-dev"
    ;;
  cross) # tests/cross/run.sh
    need_command aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
    need_command arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf
    need_command i686-linux-gnu-gcc gcc-i686-linux-gnu
    need_command s390x-linux-gnu-gcc gcc-s390x-linux-gnu
    need_command musl-gcc musl-tools
    need_command qemu-s390x-static qemu-user-static
    need_command cmake cmake
    need_command make make
    ;;
  fresh)
    PATH=$PATH:/usr/sbin # where debootstrap is, and a user's PATH does not lead
    need_command debootstrap debootstrap
    need_command git git
    ;;
  *)
    echo "install-deps.sh: no part '$part'" >&2
    exit 2
    ;;
  esac
done

if [ -n "$missing" ]; then
  if ! command -v apt-get > /dev/null 2>&1; then
    echo "Missing, by their Debian names:$missing" >&2
    exit 1
  elif [ $may_install = no ]; then
    run=""
  elif [ "$(id -u)" = 0 ]; then
    run="env"
    how="as root"
  elif sudo -n true 2> /dev/null; then
    run="sudo -n env"
    how="as root through sudo"
  else
    run=""
  fi
  if [ -z "$run" ]; then
    echo "Please install:$missing" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  echo "Installing $how, with apt-get update and apt-get install --no-install-recommends:"
  echo " $missing"
  echo "  (--no-install names packages instead)"
  # shellcheck disable=SC2086 # a list of packages
  if ! { $run DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    $run DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
    > "$log" 2>&1; then
    cat "$log" >&2
    echo "Could not install:$missing" >&2
    exit 1
  fi
fi

# The Meson of Debian 12 and Ubuntu 24.04 is new enough.
version=$(meson --version)
case $version in
0.*)
  echo "Meson $version is too old; 1.0.0 or later is needed: pipx install meson" >&2
  exit 1
  ;;
esac
