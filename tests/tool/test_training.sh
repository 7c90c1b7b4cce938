#!/bin/sh
# Work that must not be lost: runs that diverge, whose pictures or checkpoints cannot be written, that
# get signals, or that share a folder; and runs that start from a model.
# Usage: test_training.sh GLOWTOOL. SPDX-License-Identifier: MIT
# Lists of options in one variable are split into words.
# shellcheck disable=SC2086
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d)
background=
trap '[ -z "$background" ] || kill -9 $background 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"
unset GLOW_KERNELS

data="--format shapes --size 8 --images 32 --test-images 8 --samples 4 --threads 1"
model="--levels 1 --depth 1 --hidden 8"
tiny="$data $model --batch 8 --warmup 0 --report-every 1"

# train CODE ARGUMENTS...: a run that ends with this code; what it says is in `said`.
train() {
  wanted=$1
  shift
  "$tool" train "$@" > said 2>&1
  code=$?
  [ $code -eq "$wanted" ] || sed 's/^/  /' said | tail -5
  expect "code $wanted, not $code: train $*" [ $code -eq "$wanted" ]
}
says() { expect "says '$1'" grep -qF -e "$1" said; }
checkpoint() { printf '%s/checkpoint-%09d.safetensors' "$1" "$2"; }
# newest FOLDER: step of its newest checkpoint.
# shellcheck disable=SC2012 # what is not named like a checkpoint is passed over
newest() { ls "$1" | sed -n 's/^checkpoint-0*\([0-9][0-9]*\)\.safetensors$/\1/p' | tail -1; }
# when PATTERN FILE: waits until the file has the pattern, half a minute at most.
when() {
  tries=0
  until grep -q "$1" "$2" 2> /dev/null || [ $tries -gt 1500 ]; do
    tries=$((tries + 1))
    sleep 0.02
  done
}

# ---- values that are not finite ------------------------------------------------------------------

wild="$data --levels 2 --depth 2 --hidden 16 --batch 8 --scale exp --lr 2 --warmup 900 --ema 0.9 --test-every 0"
train 1 $wild --steps 3000 --out wild
refused=$(sed -n 's/.*step \([0-9]*\) refused.*/\1/p' said)
expect "a step is refused after some good ones: ${refused:-none}" [ "${refused:-0}" -gt 20 ]
good=$((${refused:-1} - 1))
says "the $good steps before that are saved in wild"
for file in model.safetensors model-average.safetensors "checkpoint-$(printf %09d $good).safetensors"; do
  expect "$file is whole" "$tool" info "wild/$file"
done
expect "the log ends with what happened" sh -c \
  'tail -1 wild/log.jsonl | grep -q "\"event\": \"end\", \"step\": '$good', .*\"failed\": true"'
expect "no lock is left" [ ! -e wild/.lock ]
# A checkpoint has the same place in the data, whether it was due or a step was refused after it.
train 1 $wild --steps 3000 --checkpoint-every 1 --keep 0 --out earlier
place() { head -c 100000 "$(checkpoint "$1" $good)" | grep -ao 'feed[.][a-z]*": *"[0-9]*"'; }
place wild > place.wild
place earlier > place.earlier
expect "there is a place in the data" [ "$(wc -l < place.wild)" -eq 2 ]
expect "the images of the refused step are still to come" cmp place.wild place.earlier
train 0 --resume "$(checkpoint earlier 20)" --lr 1e-4 --steps 30 --out tamed
says "done after 30 steps"

# A few steps before the one that is refused a model may be past help at any rate; which steps these are depends on
# the roundings of the machine. So it goes back by a third of the way.
later=$((${refused:-200} + 100))
train 0 $wild --steps $later --on-divergence rewind --checkpoint-every $((${refused:-200} * 2 / 3)) --out back
says "going back to step"
says "with half the rate, --lr 1"
says "done after $later steps"
expect "the log tells of going back" grep -q \
  '"event": "rewind", "step": [0-9]*, "refused": [0-9]*, "lr": 1' back/log.jsonl
grep '"event": "step"' back/log.jsonl | sed 's/.*"step": \([0-9]*\), .*/\1/' > steps
expect "the log tells of each step once, in order" sort -nuc steps
# When every rate is too high, it ends and says why.
train 1 $tiny --steps 60 --lr 10 --optimizer sgd --scale exp --on-divergence rewind \
  --checkpoint-every 0 --save-every 0 --out hopeless
says "the rate has been halved 5 times, and it is not enough"

# ---- pictures ------------------------------------------------------------------------------------

mkdir -p plain/samples.png plain/loss.png plain/data.png
train 0 $tiny --steps 4 --sample-every 2 --save-every 2 --out plain
says "warning: "
says "training goes on without the picture"
says "done after 4 steps"
expect "the model is saved" "$tool" info plain/model.safetensors

# ---- checkpoints that cannot be written ----------------------------------------------------------

# A folder of their name is in the way.
mkdir -p "$(checkpoint full 2)"
train 0 $tiny --steps 6 --checkpoint-every 2 --save-every 0 --overwrite --out full
says "warning: step 2 is not saved; training goes on"
expect "the next one is written" "$tool" info "$(checkpoint full 4)"
expect "so is the last" "$tool" info "$(checkpoint full 6)"
for step in 2 4 6; do
  mkdir -p "$(checkpoint stays $step)"
done
train 2 $tiny --steps 20 --checkpoint-every 2 --save-every 0 --overwrite --out stays
says "warning: step 4 is not saved"
expect "three failures in a row end the run" sh -c 'tail -1 stays/log.jsonl | grep -q "\"step\": 6,"'
expect "the model is saved all the same" "$tool" info stays/model.safetensors
# A limit on the size of files stands in for a quota; its signal is not to kill the run.
(
  ulimit -f 8
  "$tool" train $tiny --steps 200 --checkpoint-every 0 --save-every 0 --quiet --out quota > said 2>&1
  echo $? > code
)
expect "a quota is an error, not a death: $(cat code)" [ "$(cat code)" -eq 2 ]
says "cannot write 'quota/model.safetensors'"
says "warning: cannot write quota/log.jsonl"
expect "the log ends with a whole line" sh -c 'tail -c 2 quota/log.jsonl | grep -q "}"'

# ---- signals -------------------------------------------------------------------------------------

# Shells have what runs in the background ignore SIGINT, and under nohup SIGHUP is ignored. A shell
# cannot undo that.
unignored=
env --default-signal true 2> /dev/null && unignored="env --default-signal"
[ -n "$unignored" ] || echo "skipped: SIGINT, because this env cannot undo that it is ignored"

# start FOLDER OPTIONS...: a long run in the background that has made its first step.
start() {
  out=$1
  shift
  $unignored "$tool" train $tiny --steps 100000000 --save-every 0 --checkpoint-every 0 --test-every 0 \
    --sample-every 0 "$@" --out "$out" > "$out.said" 2>&1 &
  background=$!
  when '"event": "step"' "$out/log.jsonl"
}
# ended WHAT CODE
ended() {
  wait $background
  code=$?
  background=
  expect "$1 ends with code $2, not $code" [ $code -eq "$2" ]
}
for signal in ${unignored:+INT} TERM HUP XCPU; do
  start "on$signal"
  kill -$signal $background
  ended "SIG$signal" 0
  expect "SIG$signal: the model is whole" "$tool" info "on$signal/model.safetensors"
  expect "SIG$signal: there is a checkpoint" [ -n "$(newest "on$signal")" ]
  expect "SIG$signal: no lock is left" [ ! -e "on$signal/.lock" ]
done
start usr1
kill -USR1 $background
when '"event": "checkpoint"' usr1/log.jsonl
expect "SIGUSR1 writes a model and a checkpoint" sh -c \
  "'$tool' info usr1/model.safetensors && ls usr1/checkpoint-*.safetensors"
first=$(newest usr1)
kill -TERM $background
ended "the run that SIGUSR1 was sent to" 0
expect "... and it had gone on" [ "$(newest usr1)" -gt "${first:-0}" ]
(
  trap '' HUP
  exec "$tool" train $tiny --steps 100000000 --out nohup > nohup.said 2>&1
) &
background=$!
when '"event": "step"' nohup/log.jsonl
kill -HUP $background
sleep 0.2
expect "nohup keeps its meaning" kill -0 $background
kill -TERM $background
ended "nohup" 0

# ---- one run in a folder -------------------------------------------------------------------------

start busy
before=$(cksum < busy/data.png)
train 2 $data --levels 1 --depth 1 --hidden 16 --steps 3 --out busy
says "another run (process $background) is at work in busy"
expect "it has touched nothing" [ "$before" = "$(cksum < busy/data.png)" ]
train 2 --resume busy --steps 5
says "another run (process $background) is at work in busy"
kill -KILL $background
wait $background 2> /dev/null
background=
expect "the lock's file is still there" [ -e busy/.lock ]
left="model.safetensors.glow-0 checkpoint-000000007.safetensors.glow-3 loss.png.glow-0
  samples.png.glow-1 data.png.glow-0 classes.csv.glow-0 model-average.safetensors.glow-2"
others="notes model.safetensors.glow-x mine.safetensors.glow-0 mine.png.glow-0 loss.png.$$"
for name in $left $others; do
  echo text > "busy/$name.tmp"
done
if command -v flock > said; then
  (
    flock 9
    echo held > held
    exec sleep 60
  ) 9> busy/model-average.safetensors.glow-1.tmp > /dev/null 2>&1 &
  background=$!
  when held held
fi
train 0 $tiny --steps 2 --no-checkpoints --out busy
for name in $left; do
  expect "what a killed run has left is removed: $name.tmp" [ ! -e "busy/$name.tmp" ]
done
for name in $others; do
  expect "what others have, stays: $name.tmp" [ -e "busy/$name.tmp" ]
done
[ ! -e held ] ||
  expect "what is being written, stays" [ -e busy/model-average.safetensors.glow-1.tmp ]
[ -z "$background" ] || kill $background
background=
expect "the lock is given back" [ ! -e busy/.lock ]
expect "a run that fails leaves no folder" sh -c "
  ! '$tool' train --data missing.bin --out new/folder && [ ! -e new ]"

# ---- starting from a model -----------------------------------------------------------------------

# first_loss FOLDER
first_loss() { sed -n 's/.*"step": 1, .*"batch": \([0-9.]*\).*/\1/p' "$1/log.jsonl" | head -1; }
train 0 $tiny --steps 60 --bits 5 --out first
train 0 $data --from first/model.safetensors --steps 3 --batch 8 --lr 1e-4 --checkpoint-every 2 \
  --keep 0 --out second
says "starting from first/model.safetensors"
expect "it has the model's bits" sh -c "'$tool' info second/model.safetensors | grep -q '5 bits'"
expect "it starts with the model's loss, not with a new one's: $(first_loss first), $(first_loss \
  second)" [ "$(echo "$(first_loss first) $(first_loss second)" | awk '{ print $2 < $1 - 0.1 }')" = 1 ]
train 0 --resume "$(checkpoint second 2)" --quiet --out third
expect "and it can be resumed, bit for bit" cmp second/model.safetensors third/model.safetensors
train 2 $data --from missing.safetensors --out new
says "--from: cannot open 'missing.safetensors'"
train 2 --format shapes --size 16 --images 8 --from first/model.safetensors --out new
says "images are 16 x 16 x 3, but the model wants 8 x 8 x 3"
train 2 $data --from first/model.safetensors --class-weight 1 --out new
says "--class-weight means nothing here: the model of --from has no classes"
train 2 $data --from first/model.safetensors --gain-l2 1e-4 --out new
says "--gain-l2 means nothing here"
train 2 $data --from first/model.safetensors --init-images 8 --out new
says "--init-images means nothing here"
expect "no folder is left" [ ! -e new ]

# ---- memory --------------------------------------------------------------------------------------

truncate -s 1069056000 big.raw # a whole number of records
# shellcheck disable=SC3045 # dash and bash have ulimit -v
if (ulimit -v 900000 && "$tool" --version) > said 2>&1; then # not with sanitizers
  (
    # shellcheck disable=SC3045
    ulimit -v 900000
    "$tool" train --data big.raw --format raw:3x64x64 --out new > said 2>&1
    echo $? > code
  )
  expect "no memory is code 1, not $(cat code)" [ "$(cat code)" -eq 1 ]
fi

finish
