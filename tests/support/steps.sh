#!/bin/sh
# What scripts of several steps share: they source it. $work is a folder that goes when they end; `tell`
# says which step begins or has ended, and after how many seconds; `skip` ends with status 77; and `wrong`
# shows the end of $work/log, if there is one, and ends with status 1. SPDX-License-Identifier: MIT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
started=$(date +%s)
tell() {
  echo "== $1 ($(($(date +%s) - started)) s)"
}
skip() {
  echo "$1"
  exit 77
}
wrong() {
  [ ! -f "$work/log" ] || tail -n 100 "$work/log"
  echo "WRONG: $1"
  exit 1
}
