#!/bin/sh
# glowtool train on several ranks: the same run as in one process, also when it goes on with another
# number of ranks; and what is refused. Usage: test_train.sh GLOWTOOL. SPDX-License-Identifier: MIT
# Lists of options in one variable are split into words.
# shellcheck disable=SC2086
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
cd "$folder" || exit 1
# shellcheck source=ranks.sh
. "$here/ranks.sh"
# shellcheck source=../tool/helpers.sh
. "$here/../tool/helpers.sh"
unset GLOW_KERNELS

# Of SGD, because Adam makes a rounding of what is nearly 0 large.
base="--format digits --images 100 --test-images 30 --levels 2 --hidden 16 --report-every 1 --threads 1
  --samples 4"
tiny="$base --batch 12 --micro-batch 3 --warmup 0 --depth 2 --optimizer sgd --flip --noise 0.01
  --clip-norm 2 --ema 0.9"

# ---- the same as in one process ------------------------------------------------------------------

# near A B: steps and tests of two logs agree to 1e-6.
cat > near.py << 'END'
import json, sys
logs = [[json.loads(line) for line in open(f + "/log.jsonl")] for f in sys.argv[1:]]
events = [{(e["event"], e.get("step")): e for e in log} for log in logs]
both = [k for k in events[0] if k in events[1] and k[0] in ("step", "test")]
assert [k for k in both if k[0] == "step"] == [("step", n) for n in range(1, 21)], both
assert ("test", 20) in both
for a, b in ((events[0][k], events[1][k]) for k in both):
    for key in ("batch", "test", "test_average", "gradient_norm"):
        if key in a:
            assert abs(a[key] - b[key]) <= 1e-6 * abs(a[key]), (key, a, b)
END
near() { expect "$1 and $2 agree" python3 near.py "$1" "$2"; }

"$tool" train $tiny --steps 20 --test-every 10 --out one > said 2>&1 || { cat said; exit 1; }
for n in 2 3 4; do
  run 0 $n $tiny --steps 20 --test-every 10 --out on$n
  near one on$n
done
says "4 ranks, and on each: "
says " hidden, "
expect "rank 0 alone speaks" [ "$(grep -c 'done after 20 steps' said)" -eq 1 ]
expect "rank 0 alone writes" [ "$(find . -name 'model.safetensors' | wc -l)" -eq 4 ]
expect "the log has the seconds" grep -q '"sum_seconds": .*"wait_seconds": .*"sum_bytes": ' on4/log.jsonl
run 0 2 $tiny --steps 10 --test-every 10 --sums bfloat16 --out half
says "done after 10 steps"

# With another number of ranks, or none, and back.
run 0 3 $tiny --steps 7 --test-every 10 --out goes
run 0 2 --resume goes --steps 14
"$tool" train --resume goes --steps 20 > said 2>&1
expect "one process goes on with what two ranks have left" grep -q "done after 20 steps" said
near one goes

# Started by a launcher, but each for itself; and alone, without MPI.
OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 "$tool" train $tiny --steps 2 --ranks none --out alone \
  > said 2>&1
says "done after 2 steps"
run 0 1 $tiny --steps 2 --out single
says "done after 2 steps"

# ---- what is refused -----------------------------------------------------------------------------

run 2 4 $base --batch 3 --steps 2 --out few
says "--batch 3 is that of all ranks together: 4 ranks cannot share it"
expect "it is said once" [ "$(grep -c 'cannot share it' said)" -eq 1 ]
run 2 2 $tiny --stepz 2 --out typo
expect "a mistake is told once" [ "$(grep -c 'stepz' said)" -eq 1 ]

# differ TEXT OPTIONS...: rank 1 has these options besides.
differ() {
  text=$1
  shift
  timeout -k 5 60 mpirun -n 1 "$tool" train $base --steps 5 --out differ : \
    -n 1 "$tool" train $base --steps 5 --out differ "$@" > said 2>&1
  code=$?
  expect "code 2, not $code: rank 1 with $*" [ $code -eq 2 ]
  says "$text"
}
differ "rank 1: --lr is 0.5 here, but 0.001 on rank 0" --lr 0.5
differ "rank 1: --depth is 3 here, but 8 on rank 0" --depth 3
for file in a b; do
  head -c 2560 "$tool" | tr '\0-\100' "$file" > $file.bin
done
array="--format raw:1x8x8 --levels 1 --depth 1 --hidden 8 --batch 8 --warmup 0 --steps 3"
# other FILE TEXT: rank 1 has another file.
other() {
  timeout -k 5 60 mpirun -n 1 "$tool" train $array --data a.bin --out differ : \
    -n 1 "$tool" train $array --data "$1" --out differ > said 2>&1
  code=$?
  expect "code 2, not $code: rank 1 has $1" [ $code -eq 2 ]
  says "$2"
}
other b.bin "rank 1: data: hash is "
other nothing.bin "rank 1: "

# ---- refused steps -------------------------------------------------------------------------------

run 0 2 $base --batch 12 --depth 2 --scale exp --lr 2 --warmup 900 --steps 1000 \
  --on-divergence rewind --checkpoint-every 10 --test-every 0 --out back
says "going back to step"
says "done after 1000 steps"
finish
