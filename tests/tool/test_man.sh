#!/bin/sh
# The manual pages and the completions of shells are those that the tool makes of its tables; pages have
# no faults that man, mandoc or groff can see, and completions complete.
#
#   sh tests/tool/test_man.sh GLOWTOOL docs/man [--write]
#
# --write makes them again. SPDX-License-Identifier: MIT
set -eu
case $1 in /*) tool=$1 ;; *) tool=$PWD/$1 ;; esac
pages=$(cd "$2" && pwd)
completions=$pages/../../examples/glowtool/completions
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

commands=$("$tool" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 10 ] || { echo "the tool names no commands"; exit 1; }
"$tool" help --man > "$work/glowtool.1"
for command in $commands; do
  "$tool" help --man "$command" > "$work/glowtool-$command.1"
done
"$tool" help --bash > "$work/glowtool.bash"
"$tool" help --fish > "$work/glowtool.fish"
if [ "${3-}" = --write ]; then
  rm -f "$pages"/glowtool*.1
  cp "$work"/*.1 "$pages"
  cp "$work/glowtool.bash" "$work/glowtool.fish" "$completions"
  exit
fi

failed=0
complain() {
  echo "$*"
  failed=1
}
for file in "$work"/*.1; do
  cmp -s "$file" "$pages/$(basename "$file")" ||
    complain "docs/man/$(basename "$file") is not what the tool makes (renew it with --write)"
done
for file in "$pages"/glowtool*.1; do
  [ -e "$work/$(basename "$file")" ] || complain "$file: there is no such command"
done
for file in glowtool.bash glowtool.fish; do
  cmp -s "$work/$file" "$completions/$file" ||
    complain "$completions/$file is not what the tool makes (renew it with --write)"
done

# ---- the pages are in order ------------------------------------------------------------------------

checked=no
for page in "$pages"/*.[13]; do
  if command -v mandoc > /dev/null; then
    checked=yes
    # without a date, so that pages differ only where the tool does
    mandoc -T lint -W warning "$page" | grep -v "missing date" > "$work/said" || true
    [ ! -s "$work/said" ] || complain "mandoc: $(cat "$work/said")"
  fi
  if command -v groff > /dev/null; then
    checked=yes
    groff -man -Tascii -ww -z "$page" > "$work/said" 2>&1 || complain "groff fails on $page"
    [ ! -s "$work/said" ] || complain "groff: $(cat "$work/said")"
  fi
done
[ $checked = yes ] || echo "neither mandoc nor groff: the pages were not looked at"

# ---- bash completes --------------------------------------------------------------------------------

if command -v bash > /dev/null; then
  # completes WORD... : what bash offers for the last one
  completes() {
    bash -c 'source "$1"; shift
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _glowtool 2> /dev/null; echo "${COMPREPLY[@]}"' \
      bash "$work/glowtool.bash" "$@"
  }
  offers() { # wanted, word...
    wanted=$1
    shift
    [ "$(completes "$@")" = "$wanted" ] || complain "'$*' offers '$(completes "$@")', not '$wanted'"
  }
  offers "interpolate import info" glowtool i
  offers "--version" glowtool --v
  offers "--optimizer" glowtool train --opt
  offers "adam adamax" glowtool train --optimizer ad
  offers "--tensors" glowtool info --t
  cd "$work" && touch "a model.safetensors"
  offers "a model.safetensors" glowtool info a
fi
exit $failed
