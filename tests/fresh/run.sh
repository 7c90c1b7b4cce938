#!/bin/sh
# The README's commands on a new machine: makes a minimal Debian 12 in a folder, clones the last
# commit into it, and runs there, in order, `sh examples/quickstart.sh` and `sh tests/run.sh` as a
# stranger would. Packages come from where this machine's apt takes them. Needs root, debootstrap
# (installed when missing), git and a mirror of Debian 12: exit status 77, with the reason in the
# last line, where one of them is missing. The last line is that of tests/run.sh.
#
#   sh tests/fresh/run.sh [--base FILE.tar] [--keep]
#     --base FILE.tar  the bare Debian: taken from there, or put there if there is no such file
#     --keep           leave the folder behind, and say where
# SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
release=bookworm
PATH=$PATH:/usr/sbin:/sbin

base="" keep=no
while [ $# -gt 0 ]; do
  case $1 in
  --base)
    [ $# -ge 2 ] || { echo "run.sh: --base needs a file" >&2; exit 2; }
    base=$2
    shift
    ;;
  --keep) keep=yes ;;
  *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

skip() {
  echo "$1"
  exit 77
}
wrong() {
  echo "WRONG: $1"
  exit 1
}

# ---- what it takes -------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || skip "only root can make a Debian of its own"
sh "$root/tests/install-deps.sh" fresh > /dev/null 2>&1 || skip "debootstrap or git is missing"
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(SITE)' 'Created-By: Packages' |
  awk -v release=$release '$1 == release && $2 == "main" { print $3; exit }')
case $mirror in http*) ;; *) skip "apt knows no mirror of Debian 12 here" ;; esac

work=$(mktemp -d)
machine=$work/machine
clean_up() {
  # Mounts are those of processes that have ended; should one be left, nothing behind it is removed.
  if [ $keep = yes ]; then
    echo "left behind: $work"
  else
    rm -rf --one-file-system "$work"
  fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

/usr/lib/apt/apt-helper download-file "$mirror/dists/$release/Release" "$work/Release" \
  > /dev/null 2>&1 || skip "the mirror of Debian 12 that apt names is out of reach"

# ---- the machine ---------------------------------------------------------------------------------

# The proxy that this machine's apt uses is for debootstrap too.
eval "$(apt-config shell proxy Acquire::http::Proxy)"
[ -z "${proxy:-}" ] || export http_proxy="$proxy"

mkdir "$machine"
if [ -n "$base" ] && [ -f "$base" ]; then
  echo "A minimal Debian 12 from $base"
  tar -xpf "$base" -C "$machine" --numeric-owner
else
  echo "A minimal Debian 12 from the mirror"
  debootstrap --variant=minbase $release "$machine" "$mirror" > "$work/log" 2>&1 ||
    { tail -n 20 "$work/log"; wrong "debootstrap failed"; }
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

# A clone, so that what is not committed is not there. Whoever owns the folder.
HOME=$work git config --global safe.directory '*'
HOME=$work git clone -q "file://$root" "$machine/root/libglow"

# inside COMMAND...: runs it on the machine, with nothing of this one's environment but proxies, and
# with a /proc and processes of its own where mounting is allowed. Mounts end with the processes.
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

# ---- the commands --------------------------------------------------------------------------------

started=$(date +%s)
tell() {
  echo "== $1 ($(($(date +%s) - started)) s)"
}

# Installs nothing, and names what a new machine lacks.
tell "sh examples/quickstart.sh --no-install"
if inside sh examples/quickstart.sh --no-install > "$work/named" 2>&1; then
  wrong "--no-install went on without a compiler"
fi
grep -q '^ *apt-get install .* gcc .* meson .* libpng-dev' "$work/named" ||
  { cat "$work/named"; wrong "--no-install does not name the packages"; }
[ ! -e "$machine/usr/bin/gcc" ] || wrong "--no-install installed a compiler"

tell "sh examples/quickstart.sh"
inside sh examples/quickstart.sh > "$work/quickstart" 2>&1 ||
  { tail -n 50 "$work/quickstart"; wrong "examples/quickstart.sh failed"; }
cat "$work/quickstart"
grep -q '^Installing as root' "$work/quickstart" || wrong "packages were installed without a word"
results=$machine/root/libglow/build/quickstart
for picture in samples data between loss; do
  [ "$(head -c 4 "$results/$picture.png" | tail -c 3)" = PNG ] || wrong "no picture $picture.png"
done
# The curve: bits per dimension fall by a half or more.
python3 - "$results/log.jsonl" << 'END' || wrong "the bits per dimension do not fall"
import json, sys
steps = [e["train"] for e in map(json.loads, open(sys.argv[1])) if e["event"] == "step"]
print(f"bits/dim: {steps[0]:.3f} to {steps[-1]:.3f}")
sys.exit(not (len(steps) > 10 and steps[-1] < steps[0] / 2))
END

tell "sh tests/run.sh"
inside sh tests/run.sh > "$work/tests" 2>&1 ||
  { tail -n 150 "$work/tests"; wrong "tests/run.sh failed after examples/quickstart.sh"; }
grep '^skipped' "$work/tests" || true
tell "done"
last=$(tail -n 1 "$work/tests")
echo "$last"
case $last in
0\ passed*) wrong "no test ran" ;;
*' passed, 0 failed'*) ;;
*) wrong "the last line of tests/run.sh is not 'N passed, 0 failed'" ;;
esac
