#!/bin/sh
# Makes a folder with the libraries that programs of another platform are linked with here. Nothing of this
# machine changes, and no rights are needed: apt keeps its lists for this in FOLDER.apt. A folder that is
# there is left alone. Exit status 77, with the reason in the last line: the packages cannot be had here.
#
#   sh tests/cross/root.sh ARCHITECTURE FOLDER     Debian's packages for its ARCHITECTURE, unpacked
#   sh tests/cross/root.sh musl FOLDER             Debian's sources, built with musl
#
# SPDX-License-Identifier: MIT
set -eu
architecture=$1 folder=$2
[ ! -d "$folder" ] || exit 0
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
apt=$folder.apt new=$folder.new

skip() {
  cat "$apt/log"
  echo "root.sh: $1"
  exit 77
}

# An apt that knows no installed packages, with these settings. Some of the sources may not have what is asked for:
# what counts is that the packages are found.
start_apt() {
  rm -rf "$apt" "$new"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/none" "$new"
  : > "$apt/status"
  cat > "$apt/apt.conf" << END
Acquire::Languages "none";
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
$1
END
  export APT_CONFIG="$apt/apt.conf"
  apt-get update -q > "$apt/log" 2>&1 || true
}

foreign() {
  start_apt "APT::Architecture \"$architecture\"; APT::Architectures { \"$architecture\"; };"
  apt-get install -q -y --no-install-recommends --download-only \
    libcmocka-dev libpng-dev libjpeg-dev libwebp-dev zlib1g-dev >> "$apt/log" 2>&1 ||
    skip "apt cannot get the libraries of $architecture"
  # As on a Debian: /lib is a link to /usr/lib.
  for name in bin lib sbin; do
    mkdir -p "$new/usr/$name"
    ln -s "usr/$name" "$new/$name"
  done
  for package in "$apt"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$new" --keep-directory-symlink --no-same-owner
  done
  # Absolute links are to lead into the folder: where they lead nowhere, the linker takes static libraries instead.
  find "$new" -type l -lname '/*' | while read -r link; do
    ln -sfn "$folder$(readlink "$link")" "$link"
  done
}

# build FOLDER OUT CONFIGURE...: FOLDER of the source package, without its version, is built in its folder OUT.
build() {
  cd "$apt/$1"-[0-9]*
  out=$2
  shift 2
  "$@" && make -C "$out" install DESTDIR="$new"
}

musl() {
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  site=$(apt-get indextargets --format '$(COMPONENT) $(SITE)' 'Created-By: Packages' | awk '$1 == "main" { print $2; exit }')
  release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  echo "deb-src [signed-by=$key] $site $release main" > "$folder.list"
  start_apt "Dir::Etc::sourcelist \"$folder.list\"; Dir::Etc::sourceparts \"$apt/none\";"
  (cd "$apt" && apt-get source -q --download-only cmocka zlib libpng1.6) >> "$apt/log" 2>&1 ||
    skip "apt cannot get the sources of cmocka, zlib and libpng"
  for archive in "$apt"/*.orig.tar.?z "$apt"/*.orig.tar.bz2; do
    [ ! -e "$archive" ] || tar -x -C "$apt" -f "$archive"
  done
  # They are installed for $folder, in $new$folder until all are there.
  export CC=musl-gcc CPPFLAGS="-I$new$folder/include" LDFLAGS="-L$new$folder/lib"
  (build cmocka out cmake -G "Unix Makefiles" -S . -B out -DCMAKE_INSTALL_PREFIX="$folder" \
    -DCMAKE_INSTALL_LIBDIR=lib -DWITH_EXAMPLES=OFF &&
    build zlib . ./configure --prefix="$folder" &&
    build libpng . ./configure --prefix="$folder" --disable-tools) >> "$apt/log" 2>&1 ||
    skip "cmocka, zlib and libpng cannot be built with musl-gcc"
}

if [ "$architecture" = musl ]; then
  musl
  mv "$new$folder" "$folder"
else
  foreign
  mv "$new" "$folder"
fi
rm -rf "$apt" "$new" "$folder.list"
