#!/bin/sh
# Tests the examples that learn from a density: posterior and targets, for fewer steps than usual. What they
# find is compared with the truth, which they know. Usage: test_targets.sh POSTERIOR TARGETS.
# SPDX-License-Identifier: MIT
set -u
posterior=$1 targets=$2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0
complain() {
  echo "$1"
  failed=1
}

# 300 steps give 0.87, 2000 give 0.97; a Gaussian fit to the prior gives below 0.1.
"$posterior" 300 >"$folder/out" 2>"$folder/err" || complain "posterior failed: $(cat "$folder/err")"
awk '/^effective/ { seen = 1; exit !(substr($NF, 2) > 0.7) } END { if (!seen) exit 1 }' "$folder/out" ||
  complain "posterior: few effective samples: $(cat "$folder/out")"
# Each estimate is within five of its standard errors.
awk '/^log evidence/ { n++; d = $3 - $NF; if (d * d > 25 * $5 * $5) exit 1 }
     /^(mu|tau|theta)/ { n++; d = $2 - $4; if (d * d > 25 * $3 * $3) exit 1 }
     END { if (n != 11) exit 1 }' "$folder/out" || complain "posterior is off: $(cat "$folder/out")"

# 600 steps give about 0.95; the model that was not trained gives below 0.01.
"$targets" gaussian 600 >"$folder/out" 2>"$folder/err" || complain "gaussian failed: $(cat "$folder/err")"
awk '/^effective/ { seen = 1; if ($4 <= 0.9 || $(NF - 3) < 19) exit 1 } END { if (!seen) exit 1 }' "$folder/out" ||
  complain "gaussian: $(cat "$folder/out")"
# 400 steps of the mixture give about 0.5, the first samples 0.1.
"$targets" mixture-forward 400 >"$folder/out" 2>"$folder/err" || complain "mixture failed: $(cat "$folder/err")"
awk '/^effective/ { seen = 1; if ($4 <= 0.2 || $(NF - 3) < 19) exit 1 } END { if (!seen) exit 1 }' "$folder/out" ||
  complain "mixture: $(cat "$folder/out")"

for arguments in "" "0" "x" "1 2"; do
  # shellcheck disable=SC2086
  "$targets" $arguments >"$folder/out" 2>"$folder/err"
  [ $? -eq 2 ] || complain "targets '$arguments' was not refused"
done
for arguments in "0" "x" "1 2" "gaussian"; do
  # shellcheck disable=SC2086
  "$posterior" $arguments >"$folder/out" 2>"$folder/err"
  [ $? -eq 2 ] || complain "posterior '$arguments' was not refused"
done
exit $failed
