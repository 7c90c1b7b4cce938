#!/bin/sh
# glowtool train on several ranks: how a run ends when a rank gets a signal, dies, stops or cannot
# write, and that it goes on from its last checkpoint. Usage: test_faults.sh GLOWTOOL.
# SPDX-License-Identifier: MIT
# Lists of options in one variable are split into words.
# shellcheck disable=SC2086
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
background=
trap '[ -z "$background" ] || kill -9 $background 2> /dev/null; umount "$folder/disk" 2> /dev/null
  rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
cd "$folder" || exit 1
# shellcheck source=ranks.sh
. "$here/ranks.sh"
# shellcheck source=../tool/helpers.sh
. "$here/../tool/helpers.sh"
unset GLOW_KERNELS

long="--format digits --images 100 --test-images 30 --levels 2 --depth 2 --hidden 16 --batch 12 --samples 4
  --report-every 1 --threads 1 --steps 100000000 --save-every 0 --test-every 0 --sample-every 0"

# ---- signals and faults --------------------------------------------------------------------------

# start FOLDER OPTIONS...: a long run on 3 ranks that has written a checkpoint.
start() {
  out=$1
  shift
  mpirun -n 3 "$tool" train $long "$@" --out "$out" > said 2>&1 &
  background=$!
  tries=0
  until grep -q '"event": "checkpoint"' "$out/log.jsonl" 2> /dev/null || [ $tries -gt 1500 ]; do
    tries=$((tries + 1))
    sleep 0.02
  done
}
# process N: of rank N.
process() {
  for child in $(pgrep -P $background); do
    tr '\0' '\n' < "/proc/$child/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$child"
  done
}
# ended CODES: within 20 s, with one of these codes.
ended() {
  tries=0
  while kill -0 $background 2> /dev/null && [ $tries -lt 200 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  expect "$out ends within 20 s" [ $tries -lt 200 ]
  kill -9 $background 2> /dev/null
  wait $background
  code=$?
  background=
  expect "$out: code $code is among $1" sh -c 'case " $1 " in *" $2 "*) ;; *) exit 1 ;; esac' - "$1" $code
}
goes_on() {
  step=$(newest "$1")
  expect "$1: its newest checkpoint is whole" "$tool" info "$(find "$1" -name "checkpoint-*$step.safetensors")"
  run 0 2 --resume "$1" --steps $((step + 5)) --checkpoint-every 0
  says "going on after step $step"
  says "done after $((step + 5)) steps"
}

start stopped --checkpoint-every 20
kill -TERM "$(process 1)"
ended 0
says "stopped after "
expect "the checkpoint is of the last step" grep -q "\"event\": \"end\", \"step\": $(newest stopped), \"stopped\": true" stopped/log.jsonl
goes_on stopped

start saves --checkpoint-every 20
before=$(newest saves)
kill -USR1 "$(process 2)"
sleep 1
says "asked to save at step"
kill -TERM $background
ended "0 1 143"
expect "the save is there: $(newest saves)" [ "$(newest saves)" -gt "$before" ]

start killed --checkpoint-every 20
kill -KILL "$(process 1)"
ended "137 1"
says "signal 9"
goes_on killed

start frozen --checkpoint-every 20 --rank-timeout 3
kill -STOP "$(process 2)"
ended "1 2"
says "has waited 3 s for a sum over 3 ranks, without a sign of life of rank 2"
goes_on frozen

# A disk that is full, on rank 0: folders are in the way of three checkpoints, and a small disk where
# that can be had.
for step in 000000020 000000040 000000060; do
  mkdir -p "way/checkpoint-$step.safetensors"
done
run 2 2 $long --checkpoint-every 20 --overwrite --out way
says "warning: step 40 is not saved; training goes on"
expect "three failures in a row end the run" grep -q '"event": "end", "step": 60,' way/log.jsonl
mkdir disk
if mount -t tmpfs -o size=256k none disk 2> /dev/null; then
  run 2 2 $long --checkpoint-every 5 --keep 0 --out disk/full
  says "No space left on device"
  cp -r disk/full full # with room to go on
  umount disk
  goes_on full
else
  echo "skipped: a small disk, because this user cannot mount one"
fi
finish
