# Shared by tests of programs. It is sourced with `tool` set to the program, in an empty folder.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
passed=0
failed=0

# expect WHAT COMMAND...: the command must succeed; its output is shown if it does not.
expect() {
  what=$1
  shift
  if "$@" > expected.log 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "WRONG: $what"
    sed 's/^/  /' expected.log | head -20
  fi
}

# refuses TEXT ARGUMENTS...: the tool must end with exit code 2 and a message that has the text.
refuses() {
  text=$1
  shift
  "$tool" "$@" > said 2>&1
  code=$?
  expect "code 2, not $code: $*" [ $code -eq 2 ]
  expect "says '$text': $*" grep -qF -e "$text" said
}

is_png() {
  [ "$(head -c 4 "$1" | tail -c 3)" = PNG ]
}

# record NUMBER: writes a CIFAR-10 record: a label below 10, then 3072 bytes.
record() {
  # shellcheck disable=SC2059
  printf "\\$(printf '%03o' $(($1 % 10)))"
  awk -v n="$1" 'BEGIN {
    for (i = 0; i < 3072; i++) printf "%c", 65 + (i * 7 + n * 13 + i * i * n) % 60 }'
}

finish() {
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ]
}
