#!/bin/sh
# Tests glowtool from the outside: a small model is trained, scored, sampled, reconstructed and shown; bad
# invocations end with code 2, a message that says what is wrong, and nothing left behind.
#
#   sh tests/tool/test_cli.sh GLOWTOOL
#
# Prints TAP lines and, last, `N passed, N failed`. SPDX-License-Identifier: MIT
# Lists of options in one variable are split into words.
# shellcheck disable=SC2086,SC2046
set -u
[ $# -eq 1 ] || { echo "usage: test_cli.sh GLOWTOOL" >&2; exit 2; }
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
[ -x "$tool" ] || { echo "$tool: no program" >&2; exit 2; }
python=$(command -v python3 || true)
work=$(mktemp -d)
background=
trap '[ -z "$background" ] || kill -9 "$background" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
unset GLOW_KERNELS

passed=0
failed=0
skipped=0

# report CODE NAME: prints ok if CODE is 0.
report() {
  if [ "$1" -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok $((passed + failed)) - $2"
  else
    failed=$((failed + 1))
    echo "not ok $((passed + failed)) - $2"
    sed 's/^/# /' out err 2>/dev/null | head -20
  fi
}

# good NAME ARGUMENTS: the tool must succeed without a word on stderr.
good() {
  name=$1
  shift
  "$tool" "$@" >out 2>err
  code=$?
  [ $code -eq 0 ] && [ ! -s err ]
  report $? "$name"
}

# check NAME COMMAND: the command must succeed.
check() {
  name=$1
  shift
  "$@" >/dev/null 2>&1
  report $? "$name"
}

# width FILE: of a PNG, in pixels.
width() { od -An -j16 -N4 -tu1 "$1" | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }'; }

says() { grep -q -- "$1" out; }

# json_lines FILE EXPRESSION: every line must be JSON, and the expression over `lines` must hold.
json_lines() {
  [ -n "$python" ] || return 0
  "$python" -c '
import json, sys
def refuse(text):
    raise ValueError(text)
lines = [json.loads(line, parse_constant=refuse) for line in open(sys.argv[1], encoding="utf-8")]
sys.exit(0 if eval(sys.argv[2]) else 1)' "$1" "$2"
}

listing() { find . -type f -exec cksum {} + | grep -v ' \./\(out\|err\|before\|after\)$' | sort; }

# bad FRAGMENT ARGUMENTS: the tool must end with code 2 and the fragment on stderr, and must not make or
# change anything on disk.
bad() {
  fragment=$1
  shift
  listing >before
  find . -type d | sort >>before
  "$tool" "$@" >out 2>err
  code=$?
  listing >after
  find . -type d | sort >>after
  [ $code -eq 2 ] && grep -q -F -- "$fragment" err && cmp -s before after
  report $? "bad: $* -> code $code: $(head -c 200 err | tr '\n' ' ')"
}

png() { [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ]; }

# ---- the main job --------------------------------------------------------------------------------

tiny="--format shapes --size 8 --images 64 --levels 2 --depth 1 --hidden 8 --batch 8 --warmup 2"
tiny="$tiny --test-images 16 --samples 9 --report-every 1 --threads 2"
# with OPTIONS NAME VALUE ...: the options, with other values for some of them.
with() {
  options="$1 "
  shift
  while [ $# -gt 1 ]; do
    options=$(echo "$options" | sed "s;$1 [^ ]* ;$1 $2 ;")
    shift 2
  done
  echo "$options"
}
flat=${tiny#*--levels 2 --depth 1 } # without what is Glow's alone
flat="--format shapes --size 8 --images 64 $flat"

good "--help" --help
check "--help names the commands" grep -q reconstruct out
for command in train eval sample reconstruct info; do
  good "$command --help" $command --help
done
good "--version" --version
check "--version tells one" grep -q '^glowtool [0-9]*\.[0-9]*\.[0-9]*' out

good "train" train $tiny --steps 6 --ema 0.9 --save-every 2 --test-every 3 --sample-every 4 \
  --out run/one
check "plain lines show steps" says '^step 6/6 '
check "plain lines show tests" says '^test at step 3: '
check "plain lines have no control characters" sh -c "! LC_ALL=C grep -q '[[:cntrl:]]' out"
check "the summary names parameters and kernels" says 'parameters.*kernels'
for file in samples data loss; do
  check "$file.png is a picture" png run/one/$file.png
done
check "no temporary files are left" sh -c '[ "$(ls -A run/one | wc -l)" -eq 7 ]'
check "log.jsonl is JSON" json_lines run/one/log.jsonl \
  'lines[0]["event"] == "start" and lines[-1]["event"] == "end" and lines[-1]["step"] == 6'
check "log.jsonl has the test curve" json_lines run/one/log.jsonl \
  '[l["step"] for l in lines if l["event"] == "test"] == [3, 6]'
model=run/one/model.safetensors

good "train --json" train $(with "$tiny" --threads 1) --steps 6 --ema 0.9 --json --out run/two
check "--json prints JSON lines" json_lines out \
  '[l["step"] for l in lines if l["event"] == "step"] == [1, 2, 3, 4, 5, 6]'
check "--json prints what the log has" cmp out run/two/log.jsonl
check "one thread gives the bits of two" cmp $model run/two/model.safetensors
check "so do averaged weights" cmp run/one/model-average.safetensors \
  run/two/model-average.safetensors
good "train, another seed" train $tiny --steps 6 --seed 1 --quiet --out run/three
check "--quiet prints the result" sh -c '[ "$(wc -l <out)" -eq 1 ] && grep -q "after 6 steps" out'
check "another seed gives other bits" sh -c "! cmp -s $model run/three/model.safetensors"
good "train with everything else" train $tiny --steps 3 --permutation shuffle --coupling additive \
  --no-net-actnorm --fixed-prior --optimizer adamax --schedule cosine --clip-norm 1 \
  --clip-value 1 --weight-decay 0.01 --reconstruct --micro-batch 3 --bits 5 --init-images 20 \
  --kernels c --out run/four
good "train with products in bfloat16" train $tiny --steps 4 --init-images 20 --products bfloat16 \
  --out run/bfloat16
check "the summary says so" says ', products in bfloat16'
check "the log says so" json_lines run/bfloat16/log.jsonl 'lines[0]["products"] == "bfloat16"'
good "eval with products in bfloat16" eval run/bfloat16/model.safetensors --format shapes --images 16 \
  --products bfloat16
"$tool" train --resume run/bfloat16 --steps 6 >out 2>err
check "going on with others is told" grep -q -e 'float32: --products bfloat16 goes on as before' err
good "train RealNVP" train --model realnvp --format shapes --size 8 --images 64 --levels 2 --hidden 4 \
  --blocks 1 --batch 8 --steps 3 --init-images 16 --quiet --out run/realnvp
good "eval RealNVP" eval run/realnvp/model.safetensors --format shapes --images 16
good "train a preset, overridden" train --preset quick --depth 1 --hidden 8 --images 64 --steps 2 \
  --warmup 0 --test-images 8 --samples 4 --out run/five
check "the preset's options hold" json_lines run/five/log.jsonl \
  'lines[0]["bits"] == 5 and lines[0]["levels"] == 2 and lines[0]["depth"] == 1'
good "train on generated digits" train --preset digits --depth 1 --hidden 8 --images 64 --steps 2 \
  --warmup 0 --test-images 8 --samples 20 --out run/digits
check "digits are grey and have ten classes" json_lines run/digits/log.jsonl \
  'lines[0]["shape"] == [16, 16, 1] and lines[0]["classes"] == 10'
check "a grid has a column for each digit" [ "$(width run/digits/samples.png)" -eq 662 ]
check "so has that of the data" [ "$(width run/digits/data.png)" -eq 662 ]
good "eval on generated digits" eval run/digits/model.safetensors --format digits --images 16
check "eval tells how many classes are right" says 'accuracy'
good "interpolate between generated digits" interpolate run/digits/model.safetensors \
  --format digits --rows 2 --columns 5 --out run/digits/path.png

good "train NICE" train $(with "$flat" --hidden 20) --model nice --couplings 2 --net-depth 2 --steps 4 \
  --density gaussian --out run/nice
good "eval NICE" eval run/nice/model.safetensors --format shapes --images 8
good "sample NICE" sample run/nice/model.safetensors --count 2 --out run/nice/new.png
bad "--conditional means nothing without --model glow" train $flat --model nice --conditional --out run/no

good "eval" eval $model --format shapes --images 32
check "eval tells bits/dim" says '^[0-9.]* bits/dim (+- [0-9.]*) over 32 images$'
good "eval --json" eval $model --format shapes --images 32 --draws 2 --batch 5 --json \
  --per-image scores.csv
check "eval --json prints JSON" json_lines out '0 < lines[0]["bits_per_dim"] < 20'
check "eval --per-image writes every image" sh -c '[ "$(wc -l <scores.csv)" -eq 33 ]'
good "eval in other batches" eval $model --format shapes --images 32 --draws 2 --batch 32 \
  --per-image other.csv
check "the batch changes nothing" cmp scores.csv other.csv

good "sample" sample $model --count 9 --columns 3 --temperature 0.5,0.9 --seed 3 --out new.png
check "sample writes a picture" png new.png
good "sample again" sample $model --count 9 --columns 3 --temperature 0.5,0.9 --seed 3 \
  --batch 2 --threads 1 --out again.png
check "the same seed draws the same picture" cmp new.png again.png

good "reconstruct" reconstruct $model --format shapes --count 8 --out pairs.png --json
check "reconstruct writes a picture" png pairs.png
check "the flow is exact" json_lines out \
  '0 <= lines[0]["mean_error"] <= lines[0]["max_error"] < 0.1'

good "info" info $model --layers --tensors
check "info lists layers" says 'level0.step0.coupling'
good "info --json" info $model --tensors --json
check "info --json is JSON" json_lines out \
  '(lines[0]["shape"] == [8, 8, 3] and
   sum(l["parameters"] for l in lines[0]["layers"]) == lines[0]["parameters"])'

# ---- files in the formats ------------------------------------------------------------------------

# 20 CIFAR-10 records: a label, then 3072 bytes.
record() {
  # shellcheck disable=SC2059 # a byte by its octal number
  printf "\\$(printf %03o "$1")"
  head -c 3072 "$tool"
}
for i in 0 1 2 3 4 5 6 7 8 9; do record $i; done >batch.bin
good "train with classes, on CIFAR-10 batches" train --data batch.bin --test batch.bin \
  --format cifar10 --conditional --levels 2 --depth 1 --hidden 8 --steps 2 --warmup 0 --batch 4 \
  --samples 10 --out run/classes
classes=run/classes/model.safetensors
good "sample a class" sample $classes --class 3 --count 4 --out class.png
good "eval with labels" eval $classes --data batch.bin --format cifar10
check "no classifier, no accuracy" sh -c '! grep -q accuracy out'

# A classifier, and labels for half of the images.
half="--data batch.bin --format cifar10 --conditional --levels 2 --depth 1 --hidden 8 --warmup 0"
half="$half --batch 4 --samples 10 --class-weight 0.5 --labelled 0.5 --spatial-prior --border"
good "train with a classifier" train $half --test batch.bin --steps 3 --ema 0.9 --report-every 1 \
  --test-every 3 --checkpoint-every 2 --keep 0 --out run/half
check "tests tell the accuracy" says '^test at step 3: .*, accuracy [01][.].*, accuracy [01][.]'
check "the log has accuracies" json_lines run/half/log.jsonl \
  '(lines[0]["labelled"] == 0.5 and lines[0]["class_weight"] == 0.5 and
   all(0 <= l["accuracy"] <= 1 and l["class_loss"] > 0 for l in lines if "accuracy" in l) and
   any("accuracy" in l for l in lines if l["event"] == "step") and
   0 <= lines[-1]["test_accuracy"] <= 1 and 0 <= lines[-1]["test_average_accuracy"] <= 1)'
good "... on from step 2" train --resume run/half/checkpoint-000000002.safetensors --quiet \
  --out run/half2
check "... the same bits: the same labels" cmp run/half/model.safetensors run/half2/model.safetensors
good "train on the labelled half alone" train $half --only-labelled --steps 1 --out run/halved
check "... of the 10 images" says '^5 images'
fit="$(with "$tiny" --depth 8 --hidden 32) --memory 2M"
good "train in 2 MiB" train $fit --steps 4 --checkpoint-every 2 --keep 0 --out run/fit
good "... on from step 2" train --resume run/fit/checkpoint-000000002.safetensors --quiet \
  --out run/fit2
check "... the same bits" cmp run/fit/model.safetensors run/fit2/model.safetensors
good "show the labelled half twice" train $half --labelled-times 2 --steps 4 --checkpoint-every 2 \
  --keep 0 --out run/twice
good "... on from step 2" train --resume run/twice/checkpoint-000000002.safetensors --quiet \
  --out run/twice2
check "... the same bits" cmp run/twice/model.safetensors run/twice2/model.safetensors
nvp="--data batch.bin --format cifar10 --model realnvp --levels 2 --hidden 4 --blocks 1 --batch 4
  --micro-batch 4 --warmup 0 --init-images 4 --steps 4 --seed 7 --checkpoint-every 2 --keep 0"
good "a RealNVP from turned images, with a penalty" train $nvp --flip --gain-l2 5e-3 --out run/nvp
good "... on from step 2" train --resume run/nvp/checkpoint-000000002.safetensors --quiet \
  --out run/nvp2
check "... the same bits" cmp run/nvp/model.safetensors run/nvp2/model.safetensors
good "... without turning" train $nvp --gain-l2 5e-3 --out run/nvp3
check "... is another" sh -c "! cmp -s run/nvp/model.safetensors run/nvp3/model.safetensors"
good "... without the penalty" train $nvp --flip --out run/nvp4
check "... is another" sh -c "! cmp -s run/nvp/model.safetensors run/nvp4/model.safetensors"
noise="$tiny --noise 0.2"
good "train with noise" train $noise --steps 4 --checkpoint-every 2 --keep 0 --out run/noise
good "... on from step 2" train --resume run/noise/checkpoint-000000002.safetensors --quiet --out run/noise2
check "... the same bits" cmp run/noise/model.safetensors run/noise2/model.safetensors
good "... without noise" train $tiny --steps 4 --out run/noise3
check "... is another" sh -c "! cmp -s run/noise/model.safetensors run/noise3/model.safetensors"
good "eval tells the accuracy" eval run/half/model.safetensors --data batch.bin --format cifar10
check "... in words" says 'images, accuracy [01][.]'
good "... in JSON" eval run/half/model.safetensors --data batch.bin --format cifar10 --json
check "... a part of 1" json_lines out '0 <= lines[0]["accuracy"] <= 1'
good "sample a class of it" sample run/half/model.safetensors --class 3 --count 4 --out class.png
head -c 1536 "$tool" >raw.bin
head -c 6144 "$tool" >raw32.bin
good "train on raw records" train --data raw.bin --format raw:3x8x8 --levels 2 --depth 1 \
  --hidden 8 --steps 2 --warmup 0 --batch 4 --out run/raw
good "eval on raw records" eval run/raw/model.safetensors --data raw.bin --format raw:3x8x8

# ---- Ctrl-C, readers that go away, full disks ----------------------------------------------------

# Shells have what runs in the background ignore SIGINT, and under nohup SIGHUP is ignored.
unignored=
stopping=TERM
env --default-signal true 2>/dev/null && unignored="env --default-signal" && stopping=INT

# stop SIGNAL: the run must end soon and successfully, with a model.
stop() {
  $unignored "$tool" train $tiny --steps 1000000000 --save-every 0 --json --out "run/stop$1" >out 2>err &
  background=$!
  tries=0
  until grep -q '"event": "step"' out || [ $tries -gt 300 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  kill -"$1" $background
  wait $background
  code=$?
  background=
  [ $code -eq 0 ] && json_lines out 'lines[-1]["event"] == "end" and lines[-1]["stopped"]'
  report $? "SIG$1 ends a run with code 0 and whole lines"
  good "the model that SIG$1 saved is whole" info "run/stop$1/model.safetensors"
}
if [ -n "$unignored" ]; then
  stop INT
else
  skipped=$((skipped + 1))
fi
stop TERM

{ "$tool" train $tiny --steps 200 --json --out run/pipe 2>err; echo $? >code; } | head -n 1 >out
check "a reader that goes away is an error" sh -c '[ "$(cat code)" -eq 2 ]'
check "what was learnt is saved all the same" "$tool" info run/pipe/model.safetensors
if [ -w /dev/full ]; then
  "$tool" info $model >/dev/full 2>err
  code=$?
  check "a full disk behind stdout is an error" sh -c "[ $code -eq 2 ] && grep -q output err"
else
  skipped=$((skipped + 1))
fi
# Files of at most 512 or 1024 bytes stand in for a full disk.
cp -r run/one run/full
cksum run/full/model.safetensors >sum
(
  trap '' XFSZ
  ulimit -f 1
  exec "$tool" train $tiny --steps 2 --overwrite --out run/full >/dev/null 2>&1
)
code=$?
check "a full disk while training: code 2" [ $code -eq 2 ]
check "... the old model is whole" sh -c 'cksum run/full/model.safetensors | cmp -s - sum'
check "... no temporary file is left" sh -c '[ "$(ls -A run/full | wc -l)" -eq 7 ]'
(
  trap '' XFSZ
  ulimit -f 1
  exec "$tool" sample $model --out full.png >/dev/null 2>&1
)
code=$?
check "a full disk while sampling: code 2, nothing left" sh -c "[ $code -eq 2 ] && ! ls *full.png*"

# The rate is far too large: the step must be refused and the layer named.
"$tool" train $(with "$tiny" --warmup 0 --hidden 16 --depth 2) --scale exp --lr 10 --optimizer sgd \
  --steps 500 --out run/wild >out 2>err
code=$?
check "numbers that are not finite: code 1, naming the layer" sh -c \
  "[ $code -eq 1 ] && grep -q \"refused.*layer 'level\" err"

# ---- stopping and continuing --------------------------------------------------------------------

# same A B FILE ...: these files must be the same in both folders.
same() {
  one=$1
  two=$2
  shift 2
  for file in "$@"; do
    cmp "$one/$file" "$two/$file" || return 1
  done
}
checkpoint() { printf 'checkpoint-%09d.safetensors' "$1"; }

# interrupt SIGNAL FOLDER OPTIONS: ends a run by the signal once it has made some steps.
interrupt() {
  signal=$1
  folder=$2
  shift 2
  $unignored "$tool" train "$@" --json --out "$folder" >out 2>err &
  background=$!
  tries=0
  until grep -q '"event": "checkpoint"' out || [ $tries -gt 1500 ]; do
    tries=$((tries + 1))
    sleep 0.02
  done
  kill -"$signal" $background
  wait $background 2>/dev/null
  background=
}

long="$tiny --steps 1500 --ema 0.9 --schedule cosine --clip-norm 1 --micro-batch 5 --save-every 0"
long="$long --test-every 100 --checkpoint-every 10"
good "a run to compare with" train $long --quiet --out run/whole
interrupt "$stopping" run/part $long
check "Ctrl-C ended it in the middle" json_lines run/part/log.jsonl \
  'lines[-1]["stopped"] and 0 < lines[-1]["step"] < 1500'
good "--resume a folder" train --resume run/part --threads 1
check "it says where it goes on" says '^going on after step [0-9]*, from run/part/checkpoint-'
check "the same bits as without the break" same run/whole run/part model.safetensors \
  model-average.safetensors $(checkpoint 1500) $(checkpoint 1490)
check "two checkpoints are kept" sh -c '[ "$(ls run/part/checkpoint-* | wc -l)" -eq 2 ]'
whole='[json.loads(line) for line in open("run/whole/log.jsonl")]'
key='[(l["step"], l["train"]) for l in LINES if l["event"] == "step"]'
curve="$(echo "$key" | sed s/LINES/lines/) == $(echo "$key" | sed "s;LINES;$whole;")"
check "the log tells of each step once, the means too" json_lines run/part/log.jsonl "$curve"
check "it tells where the run went on" json_lines run/part/log.jsonl \
  '[l["resumed"] > 0 for l in lines if l["event"] == "start" and "resumed" in l] == [True]'
check "a new picture of the loss" png run/part/loss.png

interrupt KILL run/killed $long
good "--resume after a kill" train --resume run/killed --quiet
check "... the same bits" same run/whole run/killed model.safetensors model-average.safetensors
check "... each step once" json_lines run/killed/log.jsonl "$curve"

# Continues with labels, from a file, into another folder; then further than was planned.
with_classes="--data batch.bin --format cifar10 --conditional --levels 2 --depth 1 --hidden 8"
with_classes="$with_classes --warmup 0 --batch 4 --samples 10 --optimizer adamax --reconstruct"
good "train with classes" train $with_classes --steps 7 --checkpoint-every 3 --keep 0 --out run/c7
good "train with classes, longer" train $with_classes --steps 9 --checkpoint-every 3 --out run/c9
good "--resume a file" train --resume run/c7/$(checkpoint 3) --out run/c3 --quiet
check "... the same bits" cmp run/c7/model.safetensors run/c3/model.safetensors
"$tool" train --resume run/c7 $with_classes --steps 9 --quiet --json >out 2>err
check "--resume with more --steps, and options that agree" grep -q '"step": 9' out
check "... the same bits" cmp run/c9/model.safetensors run/c7/model.safetensors
check "... older checkpoints stay with --keep 0" test -e run/c7/$(checkpoint 3)
"$tool" train --resume run/c9 --steps 10 --lr 0.5 >out 2>err
code=$?
check "another rate is taken, and told of" sh -c \
  "[ $code -eq 0 ] && grep -q -e '--lr is 0.5, where the checkpoint has 0.001' err"
check "... from there on" json_lines run/c9/log.jsonl \
  '[l["rate"] for l in lines if l["event"] == "step" and l["step"] == 10] == [0.5]'

# Damaged checkpoints are passed over.
cp -r run/c7 run/damaged
head -c 5000 run/c7/$(checkpoint 9) >run/damaged/$(checkpoint 9)
"$tool" train --resume run/damaged --steps 9 >out 2>err
code=$?
check "a damaged checkpoint is passed over" sh -c \
  "[ $code -eq 0 ] && grep -q 'passed over.*000000009' err && grep -q 'after step 7' out"
check "... and written again" cmp run/c7/$(checkpoint 9) run/damaged/$(checkpoint 9)

good "--no-checkpoints" train $tiny --steps 2 --no-checkpoints --out run/none
check "... writes none" sh -c '! ls run/none/checkpoint-*'
listing >before
"$tool" train $tiny --steps 2 --out run/c3 >out 2>err
code=$?
listing >after
check "another run's checkpoints are not overwritten" sh -c \
  "[ $code -eq 2 ] && grep -q 'after step 7' err && cmp -s before after"
good "... but with --overwrite" train $tiny --steps 2 --overwrite --quiet --out run/c3
check "... the old ones are gone" sh -c '[ "$(ls run/c3/checkpoint-*)" = run/c3/'$(checkpoint 2)' ]'
"$tool" train --resume run/c7/$(checkpoint 6) --steps 8 >out 2>err
code=$?
check "going back needs --overwrite" sh -c "[ $code -eq 2 ] && grep -q 'after step 9' err"
good "going back" train --resume run/c7/$(checkpoint 6) --steps 7 --overwrite --quiet
check "... later checkpoints are gone" sh -c '! ls run/c7/'$(checkpoint 9)

# ---- files that cannot be trusted ----------------------------------------------------------------

escape=$(printf '\033')
"$tool" info "${escape}[31mred" >out 2>err
check "names in messages cannot act on a terminal" sh -c \
  "! grep -q '$escape' out err && grep -q 'x1b' err"
if [ -n "$python" ]; then
  # The header gets an escape sequence in the names of a layer, and its length is corrected.
  "$python" - $model evil.safetensors <<'END'
import struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = data[8:8 + size].rstrip().replace(b"level0.squeeze", b"level0.\\u001b[31m")
header = header.replace(b"level0.\\u001b", b"level0.\\\\u001b") if b'\\"' in header else header
header += b" " * (-len(header) % 8)
open(sys.argv[2], "wb").write(struct.pack("<Q", len(header)) + header + data[8 + size:])
END
  "$tool" info evil.safetensors --layers --json >out 2>err
  "$tool" info evil.safetensors --layers >>out 2>>err
  check "names in files cannot act on a terminal" sh -c "! grep -q '$escape' out err"
else
  skipped=$((skipped + 1))
fi

# ---- bad invocations -----------------------------------------------------------------------------

head -c 5000 batch.bin >short.bin
head -c 300 $model >short.safetensors
echo "this is no picture" >text.png
printf '' >empty.bin
for i in 0 1 2 3 4; do record $i; done >few.bin
{ record 1; record 200; } >label.bin
train="train $tiny --steps 2 --out new"

bad "a command is missing"
bad "there is no command 'dance'" dance
bad "--data is missing" train --out new
bad "unknown option --levles; did you mean --levels (" $train --levles 2
bad "unknown option" $train --zzz
bad "--model: 'flow' is not one of glow, nice, realnvp" $train --model flow
bad "--depth means nothing without --model glow" $(with "$train" --depth 2) --model realnvp
bad "--net-depth means nothing without --model nice" $train --net-depth 2
bad "--blocks means nothing without --model realnvp" $train --blocks 2
bad "unknown option -z" $train -z
bad "takes no value" $train --json=yes
bad "needs a value" $train --lr
bad "unexpected word 'word'" train --format shapes word --out new
bad "--levels: '0' is not" $(with "$train" --levels 0)
bad "--levels: '-1' is not" $(with "$train" --levels -1)
bad "--depth: '0' is not" $(with "$train" --depth 0)
bad "--hidden: '0' is not" $(with "$train" --hidden 0)
bad "--batch: '0' is not" $(with "$train" --batch 0)
bad "--batch: '-8' is not" $(with "$train" --batch -8)
bad "--batch: '8x' is not" $(with "$train" --batch 8x)
bad "--batch: '99999999999999999999' is not" $(with "$train" --batch 99999999999999999999)
bad "--micro-batch 9 is more than --batch 8" $train --micro-batch 9
bad "--steps: '0' is not" $(with "$train" --steps 0)
bad "--images: '-1' is not" $(with "$train" --images -1)
bad "--init-images: '0' is not" $train --init-images 0
bad "--test-images: '0' is not" $(with "$train" --test-images 0)
bad "the samples are pixels" $train --bits 0
bad "--bits: '9' is not" $train --bits 9
bad "--lr: '0' is not" $train --lr 0
bad "--lr: 'nan' is not" $train --lr nan
bad "--lr: 'inf' is not" $train --lr inf
bad "--lr: 'fast' is not" $train --lr fast
bad "--beta1: '1' is not" $train --beta1 1
bad "--ema: '1' is not" $train --ema 1
bad "--floor: '0' is not" $train --floor 0
bad "--temperature: '-1' is not" $train --temperature -1
bad "--seed: '-1' is not" $train --seed -1
bad "--threads: '-1' is not" $(with "$train" --threads -1)
bad "--products: 'float16' is not one of" $train --products float16
bad "need at least" $train --memory 1K
bad "--reconstruct means nothing with --memory" $train --memory 1M --reconstruct
bad "no kernels 'abacus'" $train --kernels abacus
export GLOW_KERNELS=abacus
bad "no kernels 'abacus'" $train
good "--kernels wins over GLOW_KERNELS" train $tiny --steps 1 --kernels c --quiet --out run/forced
export GLOW_KERNELS=c
good "GLOW_KERNELS chooses" train $tiny --steps 1 --out run/chosen
check "... and the summary says so" says ' c kernels'
unset GLOW_KERNELS
bad "--permutation: 'none' is not one of" $train --permutation none
bad "--coupling: 'none' is not one of" $train --coupling none
bad "--preset: 'none' is not one of" $train --preset none
bad "--out: '' is not" train $tiny --steps 2 --out ""
bad "--warmup 2 is not below --steps 2" $train --schedule cosine
bad "--channels: '2' is not" $train --channels 2
bad "divisible by 2^levels" train --format shapes --size 10 --levels 2 --out new
bad "--data means nothing with --format shapes" $train --data batch.bin
bad "is a file, not a folder" train $tiny --steps 2 --out batch.bin
bad "is a file, not a folder" train $tiny --steps 2 --out batch.bin/new
bad "missing.bin" train --data missing.bin --out new
bad "missing.bin" train --data batch.bin --format cifar10 --test missing.bin --out new
bad "empty.bin" train --data empty.bin --format cifar10 --out new
bad "short.bin" train --data short.bin --format cifar10 --out new
bad "text.png" train --data text.png --format images --out new
bad "batch.bin" train --data batch.bin --format mnist --out new
bad "raw:3x" train --data raw.bin --format raw:3x --out new
bad "format" train --data raw.bin --format movie --out new
bad "label" train --data label.bin --format cifar10 --conditional --out new
bad "needs labels" train --data raw.bin --format raw:3x8x8 --conditional --out new
bad "--class-weight means nothing without --conditional" train $tiny --class-weight 0.1 --out new
bad "--labelled means nothing without --conditional" train $tiny --labelled 0.5 --out new
bad "--labelled" train --data batch.bin --format cifar10 --conditional --labelled 1.5 --out new
bad "--class-weight" train --data batch.bin --format cifar10 --conditional --class-weight -1 --out new
bad "leaves no images" train --data batch.bin --format cifar10 --conditional --labelled 0 \
  --only-labelled --out new
bad "--labelled-times means nothing with --labelled 1" train --data batch.bin --format cifar10 --conditional \
  --labelled-times 2 --out new
bad "gain-l2 means nothing" train $tiny --gain-l2 1e-4 --out new
bad "contradicts the checkpoint" train --resume run/nvp --steps 8 --gain-l2 0.1
bad "--spatial-prior means nothing with --fixed-prior" train $tiny --spatial-prior --fixed-prior --out new
bad "smaller than the 16 x 16" train --data raw.bin --format raw:3x8x8 --size 16 --out new
bad "nothing left to do" train --resume run/part
bad "--hidden 9 contradicts the checkpoint, which has 8" train --resume run/part --hidden 9
bad "--seed 3 contradicts the checkpoint, which has 0" train --resume run/part --seed 3
bad "--ema 0.5 contradicts" train --resume run/part --steps 1600 --ema 0.5
bad "--format raw:3x8x8 contradicts" train --resume run/part --format raw:3x8x8 --data raw.bin
bad "not the images" train --resume run/c7 --steps 11 --data few.bin
bad "is not a checkpoint" train --resume $model
bad "contains no checkpoint" train --resume run/none
bad "cannot open 'missing'" train --resume missing
bad "--keep: '-1' is not" $train --keep -1
bad "MODEL is missing" eval
bad "one MODEL is wanted" eval $model $classes
bad "--data is missing" eval $model
bad "missing.safetensors" eval missing.safetensors --format shapes
bad "short.safetensors" eval short.safetensors --format shapes
bad "batch.bin" info batch.bin
bad "smaller than the 32 x 32" eval $classes --data raw.bin --format raw:3x8x8
bad "--draws: '0' is not" eval $model --format shapes --draws 0
bad "there is no folder" eval $model --format shapes --per-image nowhere/scores.csv
bad "--count: '0' is not" sample $model --count 0
bad "--count: '-5' is not" sample $model --count -5
bad "the model has no classes" sample $model --class 0
bad "--class: '10' is not from 0 to 9" sample $classes --class 10
bad "--temperature: 'hot' is not" sample $model --temperature hot
bad "--temperature: '0.7,' is not" sample $model --temperature 0.7,
bad "--temperature: '-1' is not" sample $model --temperature -1
bad "3 values, but the model has 2 levels" sample $model --temperature 1,1,1
bad "there is no folder" sample $model --out nowhere/new.png
mkdir folder.png
bad "is a folder" sample $model --out folder.png
bad "--count: '0' is not" reconstruct $model --format shapes --count 0
bad "--data is missing" reconstruct $model

echo "1..$((passed + failed))"
if [ $skipped -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
