#!/bin/sh
# The tool under a limit on its memory (ulimit -v): it does its work or says what is missing, and ends.
# Usage: test_memory_limit.sh GLOWTOOL. SPDX-License-Identifier: MIT
set -u
if [ -n "${GLOW_TEST_EMULATED:-}" ]; then
  echo "the limit would be the emulator's"
  exit 77
fi
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"
unset GLOW_KERNELS

# within KIB ARGUMENTS...: runs the tool with no more address space than that, and for a minute at most.
within() {
  kib=$1
  shift
  # shellcheck disable=SC3045 # dash and bash have it
  (ulimit -v "$kib" && exec timeout 60 "$tool" "$@")
}

expect "a model" "$tool" train --format digits --steps 1 --levels 1 --depth 1 --hidden 8 --batch 4 \
  --out run --quiet
for kib in 60000 100000 150000; do
  expect "it ends within $kib KiB" within $kib --version
done
expect "it samples in 150000 KiB" within 150000 sample run/model.safetensors --count 4 --threads 1 \
  --out some.png
expect "a picture is there" is_png some.png
within 60000 sample run/model.safetensors --count 4096 --batch 4096 --threads 1 --out many.png > said 2>&1
code=$?
expect "code 1 or 2 where memory is short, not $code: $(cat said)" [ $code -eq 1 -o $code -eq 2 ]
expect "no picture then" [ ! -e many.png ]

# A file of 223 bytes, of a model of images for which a pass takes 192 GiB.
header='{"__metadata__": {"glow.format_version": "1", "glow.model": "{\"input\": [65536, 65536, 4],'
header=$header' \"bits\": 8, \"initialised\": true, \"layers\": [{\"name\": \"p\", \"type\": \"prior\",'
header=$header' \"options\": {\"learned\": 0}}]}"}}'
# shellcheck disable=SC2059
{ printf "\\$(printf %03o ${#header})\0\0\0\0\0\0\0" && printf %s "$header"; } > vast.safetensors
# asks WHAT ARGUMENTS...: refused beforehand, with the sum.
asks() {
  told=$1
  shift
  within 150000 "$@" > said 2>&1
  code=$?
  expect "code 2, not $code: $*" [ $code -eq 2 ]
  expect "tells '$told': $(cat said)" grep -qF "$told" said
}
asks "passes on batches of 1 samples take 192.0 GiB of memory" sample vast.safetensors --batch 1 \
  --max-memory 100000 --out vast.npy
asks "more than the 1.0 MiB that --max-memory allows" sample run/model.safetensors --max-memory 1 \
  --count 1024 --batch 1024 --out some.npy
asks "more than the 1.0 MiB that --max-memory allows" eval run/model.safetensors --format digits \
  --batch 1024 --max-memory 1
# A run of 1 or 2 MiB for passes and 3.3 MiB of data.
small="--format digits --images 12000 --levels 1 --depth 1 --hidden 8"
# shellcheck disable=SC2086
asks "more than the 1.0 MiB that --max-memory allows: " train $small --batch 16 --steps 1 --max-memory 1 --out refused
# shellcheck disable=SC2086
asks "MiB for micro-batches of 16 samples, " train $small --batch 16 --micro-batch 16 --steps 1 --max-memory 1 --out refused
# shellcheck disable=SC2086
asks "for the optimizer and the average, 3.3 MiB for the data" train $small --batch 16 --ema 0.9 --steps 1 --max-memory 4 \
  --out refused
expect "the folder of a run that was refused is not left" [ ! -e refused ]
# shellcheck disable=SC2086
expect "data that are read as they are needed fit" "$tool" train $small --batch 16 --steps 1 --max-memory 4 --data-memory 1 \
  --out fits --quiet
asks "the run takes" train --resume fits --steps 2 --max-memory 4
asks "none of the 1 checkpoints in 'fits' can be loaded" train --resume fits --steps 2 --max-memory 1
# As many samples as fit go through the model at a time, and half of the limit is for them.
# shellcheck disable=SC2086
expect "the whole batch fits" "$tool" train $small --batch 64 --steps 1 --out whole --quiet
# shellcheck disable=SC2086
expect "a part of it fits" "$tool" train $small --batch 64 --steps 1 --max-memory 6 --out part --quiet
expect "all of a batch goes through the model at once" grep -q '"micro_batch": 64' whole/log.jsonl
expect "or a half, or less" grep -q '"micro_batch": \(32\|16\|8\)[^0-9]' part/log.jsonl
# shellcheck disable=SC2086
expect "batch normalisations see 16" "$tool" train --model realnvp --format digits --images 64 --levels 1 \
  --blocks 1 --hidden 8 --batch 32 --steps 1 --out normalised --quiet
expect "and no more" grep -q '"micro_batch": 16' normalised/log.jsonl
expect "it goes on" "$tool" train --resume fits --steps 2 --max-memory 4 --data-memory 1 --quiet

finish
