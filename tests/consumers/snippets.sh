#!/bin/sh
# Checks that every piece of C in docs/custom-layers.md is, white space aside, code of one of the
# examples, which the test of consumers builds and runs. Usage: snippets.sh SOURCE_ROOT.
# SPDX-License-Identifier: MIT
set -eu
cd "$1"
awk '
  function squeezed(text) {
    gsub(/[ \t\n]+/, " ", text)
    return text
  }
  FILENAME != "docs/custom-layers.md" { code[FILENAME] = code[FILENAME] "\n" $0; next }
  /^```c$/ { inside = 1; piece = ""; first = FNR + 1; next }
  /^```$/ && inside {
    inside = 0
    count++
    found = 0
    for (name in code)
      found += index(squeezed(code[name]), squeezed(piece)) > 0
    if (!found) {
      print "docs/custom-layers.md:" first ": this piece is in no example"
      bad = 1
    }
  }
  inside { piece = piece "\n" $0 }
  END {
    print count + 0 " pieces"
    exit bad || count < 10
  }' examples/custom/custom.c examples/two_nets/two_nets.c examples/attention/attention.c \
  docs/custom-layers.md
