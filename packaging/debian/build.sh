#!/bin/sh
# Debian's packages from the tarball of a release: unpacks it, puts debian/ there, builds the source and
# the binary packages, and holds them to lintian.
#
#   sh packaging/debian/build.sh [--tarball FILE.tar.xz] [--to FOLDER] [DPKG-BUILDPACKAGE OPTION ...]
#     --tarball FILE   libglow-VERSION.tar.xz; else tests/dist.sh makes that of the last commit
#     --to FOLDER      leaves the packages there
#
# DEBFULLNAME and DEBEMAIL, where both are set, become the maintainer. DEB_BUILD_OPTIONS=nocheck builds
# without tests. Exit status 77, with the reason in the last line, where a tool or a package that the
# build needs is missing. SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
tarball="" to=""
while [ $# -gt 0 ]; do
  case $1 in
  --tarball)
    [ -f "${2:-}" ] || { echo "build.sh: --tarball needs a file" >&2; exit 2; }
    tarball=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
    shift 2
    ;;
  --to)
    [ $# -ge 2 ] || { echo "build.sh: --to needs a folder" >&2; exit 2; }
    mkdir -p "$2"
    to=$(cd "$2" && pwd)
    shift 2
    ;;
  *) break ;;
  esac
done

. "$root/tests/support/steps.sh"

for tool in dpkg-buildpackage dh lintian; do
  command -v $tool > /dev/null || skip "$tool is missing: apt-get install dpkg-dev debhelper lintian"
done
if [ -z "$tarball" ]; then
  tell "the tarball"
  sh "$root/tests/dist.sh" --only-make --to "$work/dist" > "$work/log" 2>&1 ||
    wrong "tests/dist.sh makes no tarball"
  tarball=$(ls "$work"/dist/libglow-*.tar.xz)
fi

# ---- the source ----------------------------------------------------------------------------------

tell "the source package"
name=$(basename "$tarball" .tar.xz)
version=${name#libglow-}
cp "$tarball" "$work/libglow_$version.orig.tar.xz"
tar -xJf "$tarball" -C "$work"
source=$work/$name
mkdir "$source/debian"
cp -R "$root"/packaging/debian/* "$source/debian"
rm "$source/debian/build.sh"
if [ -n "${DEBFULLNAME:-}" ] && [ -n "${DEBEMAIL:-}" ]; then
  sed "s/^Maintainer: .*/Maintainer: $DEBFULLNAME <$DEBEMAIL>/" -i "$source/debian/control"
  sed "1,/^ -- /s/^ -- .*>/ -- $DEBFULLNAME <$DEBEMAIL>/" -i "$source/debian/changelog"
fi
cd "$source"
packaged=$(dpkg-parsechangelog -S Version)
[ "${packaged%-*}" = "$version" ] ||
  wrong "debian/changelog is of version $packaged, the tarball of $version"

# Debian's own tools, not others that may come before them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ ! -d /usr/lib/ccache ] || PATH=/usr/lib/ccache:$PATH
dpkg-checkbuilddeps 2> "$work/missing" || skip "$(tail -n 1 "$work/missing")"

# ---- the build -----------------------------------------------------------------------------------

tell "dpkg-buildpackage"
dpkg-buildpackage --no-sign "$@" > "$work/log" 2>&1 || wrong "dpkg-buildpackage failed"
cd "$work"
mv log build.log
if [ -n "$to" ]; then
  cp libglow*_* glowtool*_* build.log "$to"
fi
sed -n 's/^Ok: */tests passed: /p; s/^Fail: */tests failed: /p' build.log
ls -- *.deb

# ---- lintian -------------------------------------------------------------------------------------

# What it says that is left as it is:
remaining="
initial-upload-closes-no-bugs  nobody has asked Debian for this package yet
debian-watch-file-is-missing   the place where tarballs are published is the packager's to name
no-homepage-field              and so is a home page
"
tell "lintian"
tags=$(echo "$remaining" | awk 'NF { print $1 }' | paste -sd ,)
echo "$remaining" | awk 'NF { print "left: " $0 }'
lintian --info --pedantic --display-info --fail-on error,warning,info,pedantic \
  --suppress-tags "$tags" libglow_*.changes || wrong "lintian finds something else"
tell "done"
