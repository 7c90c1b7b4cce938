#!/bin/sh
# Sees that what this project needs is installed, and installs what is missing through apt-get where
# it may (as root, or with a sudo that asks nothing); otherwise names the packages and fails.
# Usage: install-deps.sh [PART ...] with parts: build (default), tests, tool, ci.
# SPDX-License-Identifier: MIT
set -eu

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
    need_module openblas libopenblas-dev
    ;;
  tests)
    need_command g++ g++
    need_command nm binutils
    need_module cmocka libcmocka-dev
    ;;
  tool)
    need_module libpng libpng-dev
    need_module libjpeg libjpeg-dev
    need_module zlib zlib1g-dev
    ;;
  ci)
    need_command clang clang
    need_command clang-format-14 clang-format-14
    [ -e /usr/share/i18n/locales/de_DE ] || missing="$missing locales" # whose point is a comma
    [ -e /usr/include/blis.h ] || ls /usr/include/*/blis.h > /dev/null 2>&1 ||
      missing="$missing libblis-dev"
    ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan* > /dev/null 2>&1 ||
      missing="$missing libclang-rt-14-dev"
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
  elif [ "$(id -u)" = 0 ]; then
    run=env
  elif sudo -n true 2> /dev/null; then
    run="sudo -n env"
  else
    echo "Please install:$missing" >&2
    echo "  apt-get install$missing" >&2
    exit 1
  fi
  echo "Installing:$missing"
  if ! { $run DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    $run DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
    > "$log" 2>&1; then
    cat "$log" >&2
    echo "Could not install:$missing" >&2
    exit 1
  fi
fi

# Debian 12 and Ubuntu 24.04 have a Meson that is new enough.
version=$(meson --version)
case $version in
0.*)
  echo "Meson $version is too old; 1.0.0 or later is needed: pipx install meson" >&2
  exit 1
  ;;
esac
