#!/bin/sh
# Tests density2d: it learns the moons for a moment, measures, and draws; it refuses what it does not know.
# Usage: test_density2d.sh PROGRAM. SPDX-License-Identifier: MIT
set -u
program=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0
complain() {
  echo "$1"
  failed=1
}

"$program" --steps 60 --samples 2000 --threads 2 --out "$folder" moons >"$folder/out" \
  2>"$folder/err" || complain "it failed: $(cat "$folder/err")"
grep -q '^moons: .* KL -\{0,1\}[0-9.]* +- [0-9.]* nats$' "$folder/out" ||
  complain "no divergence: $(cat "$folder/out")"
# A model that has learnt nothing, a Gaussian, is 0.9 nats off; sixty steps get well below that.
awk '{ exit !($(NF-3) < 0.5) }' "$folder/out" || complain "learnt nothing: $(cat "$folder/out")"
head -c 4 "$folder/density2d-moons.png" | grep -q PNG || complain "no picture"
[ ! -e "$folder/density2d-rings.png" ] || complain "a picture that was not asked for"

for arguments in "--steps" "--steps 0" "--steps x" "--nonsense 3" "suns"; do
  # shellcheck disable=SC2086
  "$program" $arguments >"$folder/out" 2>"$folder/err"
  [ $? -eq 2 ] || complain "'$arguments' was not refused"
  grep -q usage "$folder/err" || complain "'$arguments': no usage"
done
"$program" --steps 1 --samples 10 --out "$folder/none" moons >"$folder/out" 2>"$folder/err"
[ $? -eq 1 ] || complain "a folder that is not there was not refused"
exit $failed
