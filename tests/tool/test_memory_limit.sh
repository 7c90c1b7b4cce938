#!/bin/sh
# The tool under a limit on its memory (ulimit -v): it does its work or says what is missing, and ends.
# Usage: test_memory_limit.sh GLOWTOOL. SPDX-License-Identifier: MIT
set -u
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
. "$helpers"
unset GLOW_KERNELS

# within KIB ARGUMENTS...: runs the tool with no more address space than that, and for a minute at most.
within() {
  kib=$1
  shift
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

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
