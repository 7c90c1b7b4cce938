#!/bin/sh
# vcpkg's port and Conan's recipe for the tarball of a release: writes both with its address and its
# checksums, and tries them: the port by CMake with stubs for what vcpkg does (vcpkg/stubs.cmake), with the
# shared and the static library; the recipe by `conan create`, in the same two ways.
#
#   sh packaging/ports.sh [--tarball FILE.tar.xz] [--url URL] [--to FOLDER] [--only vcpkg|conan]
#     --tarball FILE   libglow-VERSION.tar.xz; else tests/dist.sh makes that of the last commit
#     --url URL        where the tarball is published; else that of the file
#     --to FOLDER      leaves both there, in vcpkg/ and conan/
#
# Exit status 77, with the reason in the last line, where CMake, Meson or Conan 2 is missing.
# SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
tarball="" url="" to="" only=""
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || { echo "ports.sh: $1 needs a value" >&2; exit 2; }
  case $1 in
  --tarball)
    [ -f "$2" ] || { echo "ports.sh: no file $2" >&2; exit 2; }
    tarball=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
    ;;
  --url) url=$2 ;;
  --to) mkdir -p "$2" && to=$(cd "$2" && pwd) ;;
  --only) only=$2 ;;
  *) echo "ports.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done

. "$root/tests/support/steps.sh"

if [ -z "$tarball" ]; then
  sh "$root/tests/dist.sh" --only-make --to "$work/dist" > "$work/log" 2>&1 ||
    wrong "tests/dist.sh makes no tarball"
  tarball=$(ls "$work"/dist/libglow-*.tar.xz)
fi
name=$(basename "$tarball" .tar.xz)
version=${name#libglow-}

# ---- with address and checksum -------------------------------------------------------------------

ports=${to:-$work/ports}
rm -rf "$ports/vcpkg" "$ports/conan"
mkdir -p "$ports/vcpkg/libglow" "$ports/conan"
cp "$root/packaging/vcpkg/vcpkg.json" "$root/packaging/vcpkg/usage" "$ports/vcpkg/libglow"
sed "s|@URL@|${url:-file://$tarball}|; s|@SHA512@|$(sha512sum "$tarball" | cut -d ' ' -f 1)|" \
  "$root/packaging/vcpkg/portfile.cmake.in" > "$ports/vcpkg/libglow/portfile.cmake"
cp -R "$root/packaging/conan/conanfile.py" "$root/packaging/conan/test_package" "$ports/conan"
write_conandata() { # URL
  cat > "$ports/conan/conandata.yml" << END
sources:
  "$version":
    url: "$1"
    sha256: "$(sha256sum "$tarball" | cut -d ' ' -f 1)"
END
}
write_conandata "file://$tarball"

missing=""

# ---- vcpkg ---------------------------------------------------------------------------------------

# Fields as vcpkg's documents list them, in the order of `vcpkg format-manifest`.
check_manifest() {
  python3 - "$ports/vcpkg/libglow/vcpkg.json" "$version" << 'END'
import json, re, sys

text = open(sys.argv[1], encoding="utf-8").read()
port = json.loads(text)
order = ["name", "version", "description", "license", "supports", "dependencies", "features"]
assert list(port) == order, list(port)
assert port["version"] == sys.argv[2], f"the port is of {port['version']}, the tarball of {sys.argv[2]}"
assert text == json.dumps(port, indent=2) + "\n", "it is not laid out as vcpkg does"
for feature in [port, *port["features"].values()]:
    names = [d if isinstance(d, str) else d["name"] for d in feature["dependencies"]]
    assert names == sorted(names), names
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names), names
    assert feature["description"][-1] != ".", feature["description"]
END
}

try_vcpkg() { # static|dynamic FEATURES
  rm -rf "$work/vcpkg"
  mkdir "$work/vcpkg"
  cmake -DPORT_DIR="$ports/vcpkg/libglow" -DARCHIVE="$tarball" -DVERSION="$version" -DWORK="$work/vcpkg" \
    -DLINKAGE="$1" -DFEATURES="$2" -P "$root/packaging/vcpkg/stubs.cmake" > "$work/log" 2>&1 ||
    wrong "the port is not built ($1)"
  package=$work/vcpkg/package
  for file in include/glow/glow.h share/libglow/copyright share/libglow/usage \
    share/libglow/libglowConfig.cmake lib/pkgconfig/libglow.pc; do
    [ -f "$package/$file" ] || wrong "the port has no $file ($1)"
  done
  left=$(ls "$package/share")
  [ "$left" = libglow ] || wrong "the port leaves more in share/ than its own folder: $left"
  [ "$(ls "$package/lib/cmake" 2> /dev/null)" = "" ] || wrong "the port leaves files in lib/cmake"
  case $2 in
  tool) [ -x "$package/tools/libglow/glowtool" ] && [ ! -e "$package/bin/glowtool" ] ;;
  *) [ ! -e "$package/tools" ] ;;
  esac || wrong "the tool is not where vcpkg has tools ($1)"
  rm -rf "$work/user"
  cp -R "$root/packaging/conan/test_package" "$work/user"
  cmake -S "$work/user" -B "$work/user/build" -DCMAKE_PREFIX_PATH="$package" > "$work/log" 2>&1 &&
    cmake --build "$work/user/build" >> "$work/log" 2>&1 ||
    wrong "a program of CMake does not find the port ($1)"
  "$work/user/build/test_package" || wrong "a program with the port does not run ($1)"
}

if [ "$only" != conan ]; then
  tell "vcpkg"
  check_manifest || wrong "vcpkg.json"
  if cmake --version > /dev/null 2>&1 && meson --version > /dev/null 2>&1; then
    try_vcpkg static ""
    try_vcpkg dynamic "${GLOW_VCPKG_FEATURES-tool}"
  else
    missing="CMake or Meson is missing: the port was written, and not built"
  fi
fi

# ---- Conan ---------------------------------------------------------------------------------------

# This machine's Meson: the recipe would take that of a remote.
try_conan() { # True|False
  conan create "$ports/conan" --version "$version" -o "libglow/*:shared=$1" --build=missing \
    > "$work/log" 2>&1 || wrong "conan create fails (shared=$1)"
  grep -h '^libglow .* nats$' "$work/log" || wrong "the test of the package did not run (shared=$1)"
}

if [ "$only" != vcpkg ]; then
  tell "Conan"
  case $(conan --version 2> /dev/null) in
  'Conan version 2.'*)
    export CONAN_HOME="$work/conan"
    conan profile detect > "$work/log" 2>&1 || wrong "Conan finds no compiler"
    {
      echo "[platform_tool_requires]"
      echo "meson/$(meson --version)"
    } >> "$CONAN_HOME/profiles/default"
    conan remote disable '*' > "$work/log" 2>&1
    try_conan True
    try_conan False
    [ -z "$url" ] || write_conandata "$url"
    ;;
  *) missing="Conan 2 is missing: pip install conan" ;;
  esac
fi
tell "done"
[ -z "$missing" ] || { echo "$missing"; exit 77; }
