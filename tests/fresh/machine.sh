#!/bin/sh
# A new machine for the scripts beside this one, which source it after setting `release` to a release of
# Debian, `base` to a file or nothing and `keep` to yes or no: makes a minimal Debian in $machine, with apt
# set up as here, and defines `inside`, `tell`, `skip` and `wrong`. Needs root, debootstrap (installed when
# missing) and a mirror: exit status 77, with the reason in the last line, where one of them is missing.
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2034,SC2154 # what it defines and takes
PATH=$PATH:/usr/sbin:/sbin

. "$root/tests/support/steps.sh"

# ---- what it takes -------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || skip "only root can make a Debian of its own"
sh "$root/tests/install-deps.sh" fresh > /dev/null 2>&1 || skip "debootstrap or git is missing"
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
  awk -v release="$release" '$1 == release && $2 == "main" { print $3; exit }')
case $mirror in http*) ;; *) skip "apt knows no mirror of Debian $release here" ;; esac

machine=$work/machine
clean_up() {
  # Mounts are those of processes that have ended; should one be left, nothing behind it is removed.
  if [ "$keep" = yes ]; then
    echo "left behind: $work"
  else
    rm -rf --one-file-system "$work"
  fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

/usr/lib/apt/apt-helper download-file "$mirror/dists/$release/Release" "$work/Release" \
  > /dev/null 2>&1 || skip "the mirror of Debian $release that apt names is out of reach"

# ---- the machine ---------------------------------------------------------------------------------

# The proxy that this machine's apt uses is for debootstrap too.
eval "$(apt-config shell proxy Acquire::http::Proxy)"
[ -z "${proxy:-}" ] || export http_proxy="$proxy"

mkdir "$machine"
if [ -n "$base" ] && [ -f "$base" ]; then
  echo "A minimal Debian ($release) from $base"
  tar -xpf "$base" -C "$machine" --numeric-owner
else
  echo "A minimal Debian ($release) from the mirror"
  debootstrap --variant=minbase "$release" "$machine" "$mirror" > "$work/log" 2>&1 ||
    wrong "debootstrap failed"
  rm "$work/log"
  if [ -n "$base" ]; then
    tar -cpf "$base.new" -C "$machine" --numeric-owner .
    mv "$base.new" "$base"
  fi
fi

# apt is set up as here: sources, keys, proxies, certificates, names of hosts.
rm -rf "$machine/etc/apt"
cp -a /etc/apt "$machine/etc/apt"
for path in /usr/share/keyrings /etc/ssl/certs/ca-certificates.crt /etc/hosts /etc/resolv.conf; do
  [ ! -e "$path" ] || { mkdir -p "$machine${path%/*}" && cp -rL "$path" "$machine${path%/*}/"; }
done

# inside COMMAND...: runs it on the machine, in the folder /root/libglow, with nothing of this one's
# environment but proxies, and with a /proc and processes of its own where mounting is allowed. Mounts
# end with the processes.
own="unshare --mount --pid --fork --kill-child"
set_up="mount -t proc proc $machine/proc && mount --rbind /dev $machine/dev &&"
libraries=""
if ! $own sh -c "$set_up true" 2> /dev/null; then
  own="" set_up=""
  # Programs find the library beside them ($ORIGIN) through /proc.
  libraries=/root/libglow/build/lib
  echo "(mounting is not allowed here: the machine has no /proc)"
fi
inside() {
  # shellcheck disable=SC2086
  $own sh -c "$set_up"' exec chroot "$@"' inside "$machine" \
    env -i HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    ${no_proxy:+no_proxy="$no_proxy"} ${libraries:+LD_LIBRARY_PATH="$libraries"} \
    sh -c 'cd /root/libglow && exec "$@"' stranger "$@" < /dev/null
}
