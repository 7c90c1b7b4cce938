#!/bin/sh
# Tests glowtool info on files that nobody should trust: those of tests/io/bad, and of the fuzz corpus.
# What is refused must give exit code 2 and a message; never a crash, and no control character on the
# terminal. Usage: test_untrusted.sh GLOWTOOL BAD_FOLDER CORPUS_FOLDER. SPDX-License-Identifier: MIT
set -u
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
bad=$2
corpus=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
# shellcheck source=helpers.sh
. "$here/helpers.sh"

# Allowed are printable ASCII, line ends, and UTF-8 without the control characters U+0080 to U+009F.
is_clean() {
  [ "$(LC_ALL=C tr -d '\n\040-\176\200-\377' < "$1" | wc -c)" -eq 0 ] &&
    ! LC_ALL=C grep -q "$(printf '\302[\200-\237]')" "$1"
}

# shown CODES FILE: info must end with one of the codes, and what it writes must be clean.
shown() {
  "$tool" info "$2" --layers --tensors > out 2>&1
  code=$?
  is_clean out || { echo "control characters for $2"; return 1; }
  case $1 in *$code*) ;; *) echo "code $code for $2"; return 1 ;; esac
  [ $code -eq 0 ] || [ "$(wc -l < out)" -ge 1 ] || { echo "no message for $2"; return 1; }
  [ $code -ne 2 ] || grep -qF "${2##*/}" out || { echo "no name in the message for $2"; return 1; }
}

printf '\033[2J' > dirty
expect "control characters are found" eval '! is_clean dirty'

# A file that is refused only under a limit, or as a checkpoint, is a good model.
refused=0
while IFS='|' read -r name reader limit _ rest; do
  case $name in '#'*) continue ;; esac
  file=$bad/${name% }.safetensors
  case $reader/$limit in
  ' tensor / - ' | ' model / - ')
    expect "$name is refused" shown 2 "$file"
    refused=$((refused + 1))
    ;;
  ' tensor '* | ' model '*) expect "$name is shown" shown 02 "$file" ;;
  *) expect "$name is shown" shown 0 "$file" ;;
  esac
done < "$bad/expected.txt"
expect "there are 60 bad files or more, not $refused" [ "$refused" -ge 60 ]

# Some files of the corpus, as text and as JSON.
number=0
for file in "$corpus"/import/* "$corpus"/json/* "$corpus"/model/* "$corpus"/tensor/*; do
  number=$((number + 1))
  [ $((number % 8)) -eq 0 ] || continue
  expect "${file##*/}" shown 02 "$file"
  "$tool" info "$file" --json > out 2>&1
  expect "${file##*/} as JSON" is_clean out
done
expect "the corpus is there" [ "$number" -ge 20 ]
finish
