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

. "$root/tests/fresh/machine.sh"

# A clone, so that what is not committed is not there. Whoever owns the folder.
HOME=$work git config --global safe.directory '*'
HOME=$work git clone -q "file://$root" "$machine/root/libglow"

# ---- the commands --------------------------------------------------------------------------------

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
