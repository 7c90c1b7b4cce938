#!/bin/sh
# The tarball of a release: made by `meson dist` from a clean clone of the last commit, held to the
# commit file by file, and unpacked where there is no git; there it is built, and its quick tests run.
#
#   sh tests/dist.sh [--to FOLDER] [--only-make] [MESON SETUP OPTION ...]
#     --to FOLDER   leaves libglow-VERSION.tar.xz and its checksum in the folder
#     --only-make   makes the tarball and compares it with the commit; builds nothing
#
# Options of Meson are for the build of what was unpacked. Exit status 77, with the reason in the last
# line, where git or the commit is missing. SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

to="" build=yes
while [ $# -gt 0 ]; do
  case $1 in
  --to)
    [ $# -ge 2 ] || { echo "dist.sh: --to needs a folder" >&2; exit 2; }
    mkdir -p "$2"
    to=$(cd "$2" && pwd)
    shift 2
    ;;
  --only-make) build=no && shift ;;
  *) break ;;
  esac
done

. "$root/tests/support/steps.sh"

command -v git > /dev/null || skip "git is missing"
# Whoever owns the folder.
export HOME="$work" GIT_CONFIG_GLOBAL="$work/gitconfig"
git config --global safe.directory '*'
git -C "$root" rev-parse --verify -q HEAD > /dev/null || skip "no commit here: a tarball is made of one"

# ---- the tarball ---------------------------------------------------------------------------------

tell "meson dist"
git clone -q "file://$root" "$work/clone"
# Only configured: nothing is compiled for a tarball.
meson setup "$work/build-dist" "$work/clone" -Dblas=none -Dtests=disabled -Dexamples=disabled \
  -Dmpi=disabled -Ddocs=disabled > "$work/log" 2>&1 || wrong "the clone is not configured"
meson dist -C "$work/build-dist" --no-tests --formats xztar > "$work/log" 2>&1 ||
  wrong "meson dist failed"
version=$(sed -n "s/^ *version: '\([0-9.]*\)',$/\1/p" "$root/meson.build" | head -n 1)
name=libglow-$version
tarball=$work/build-dist/meson-dist/$name.tar.xz
[ -f "$tarball" ] && [ -f "$tarball.sha256sum" ] || wrong "meson dist has not made $name.tar.xz"

# ---- what it holds -------------------------------------------------------------------------------

mkdir "$work/elsewhere"
tar -xJf "$tarball" -C "$work/elsewhere"
unpacked=$work/elsewhere/$name
[ "$(ls "$work/elsewhere")" = "$name" ] || wrong "the tarball holds more than a folder $name"
(cd "$unpacked" && find . ! -type d | sed 's:^\./::' | LC_ALL=C sort) > "$work/held"
# All that is in the commit: who has only the tarball may change, test and release it, too.
git -C "$work/clone" -c core.quotePath=false ls-files | LC_ALL=C sort > "$work/committed"
diff "$work/committed" "$work/held" > "$work/differences" ||
  { cat "$work/differences"; wrong "the files of the commit (<) are not those of the tarball (>)"; }
while read -r file; do
  cmp -s "$work/clone/$file" "$unpacked/$file" || wrong "$file is not what the commit has"
  [ ! -x "$work/clone/$file" ] || [ -x "$unpacked/$file" ] || wrong "$file is no longer a program"
done < "$work/committed"
# Those who package it find one version.
grep -qx "  \"version\": \"$version\"," "$unpacked/packaging/vcpkg/vcpkg.json" &&
  head -n 1 "$unpacked/packaging/debian/changelog" | grep -qF "libglow ($version-" ||
  wrong "packaging/vcpkg/vcpkg.json or packaging/debian/changelog has not the version $version"
echo "$name.tar.xz: $(wc -l < "$work/held") files, $(($(wc -c < "$tarball") / 1024)) KiB"
if [ -n "$to" ]; then
  cp "$tarball" "$tarball.sha256sum" "$to"
  echo "$to/$name.tar.xz"
fi
[ $build = yes ] || exit 0

# ---- its tests -----------------------------------------------------------------------------------

# No git: neither the folder nor one above it is of a repository.
if git -C "$unpacked" rev-parse > /dev/null 2>&1; then
  wrong "$unpacked is in a repository"
fi
tell "a build of what was unpacked"
meson setup "$work/build" "$unpacked" -Dtests=enabled -Doptimization=1 -Dblas=none \
  -Dexamples=disabled -Dmpi=disabled "$@" > "$work/log" 2>&1 || wrong "it is not configured"
tell "its quick tests"
# Builds what these tests need.
meson test -C "$work/build" --print-errorlogs --suite unit --suite contract --suite abi \
  --no-suite slow -t "$(sh "$root/tests/patience.sh")" > "$work/log" 2>&1 || wrong "its tests fail"
python3 "$root/tests/count.py" "$work/build/meson-logs/testlog.json"
tell "done"
