#!/bin/sh
# Tests the comparison of permutations and couplings on a few images: its table, curves and picture, and how
# it refuses. Usage: test_ablation.sh ABLATION. SPDX-License-Identifier: MIT
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
helpers=$(cd "$(dirname "$0")" && pwd)/helpers.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
# shellcheck source=helpers.sh
. "$helpers"

for i in 0 1 2 3 4 5 6 7 8 9 10 11; do record $i; done > train.bin
for i in 12 13 14 15; do record $i; done > test.bin

run() { # folder
  "$tool" --data train.bin --test test.bin --out "$1" --levels 2 --depth 1 --hidden 4 --batch 4 \
    --steps 3 --every 2 --init-images 8 --seeds 2 --threads 2 > "$1.txt" 2>&1
}
expect "it runs" run first
expect "six models of two seeds, tests at steps 2 and 3" \
  [ "$(grep -c 'bits/dim$' first.txt)" -eq 24 ]
expect "a table of three rows and a head" [ "$(grep -c '^|' first/table.md)" -eq 5 ]
expect "the table is printed too" grep -qxF "$(tail -n 1 first/table.md)" first.txt
expect "the curves have a line a test" [ "$(wc -l < first/curves.csv)" -eq 3 ]
expect "a picture" is_png first/curves.png
expect "numbers are finite" sh -c '! grep -qiE "nan|inf" first/curves.csv'
expect "it runs again" run second
expect "the same seeds give the same curves" cmp first/curves.csv second/curves.csv

refuses "--data" --test test.bin
refuses "--test" --data train.bin
refuses "nothing.bin" --data nothing.bin --test test.bin
refuses "steps '0'" --data train.bin --test test.bin --steps 0
refuses "depth 'deep'" --data train.bin --test test.bin --depth deep
refuses "stray" --data train.bin --test test.bin stray
expect "help" sh -c "'$tool' --help | grep -q -- --hidden"
finish
