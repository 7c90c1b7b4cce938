#!/bin/sh
# Fuzzes each target for some seconds under the address and undefined-behaviour sanitizers.
# Usage: run.sh SECONDS [KIND ...] with kinds json, tensor, model, import (readers of the library),
# api (sequences of its calls), image, data, options (of glowtool); all by default. Works in
# build-fuzz/: corpora and logs are in build-fuzz/corpora; a finding is a file beside them, the exit
# status is 1, and `build-fuzz/tests/fuzz_KIND FILE` reproduces it, with GLOW_FUZZ_TRACE=1 in the
# environment for what happens. To renew the corpus of the repository from a long run, see
# CONTRIBUTING.md. SPDX-License-Identifier: MIT
set -eu
seconds=${1:?usage: run.sh SECONDS [KIND ...]}
shift
[ $# -gt 0 ] || set -- json tensor model import api image data options
cd "$(dirname "$0")/../.."
build="build-fuzz"
work=$build/corpora
if [ ! -f $build/build.ninja ]; then
  CC=clang meson setup $build -Dfuzz=enabled -Dbuildtype=debugoptimized \
    -Db_sanitize=address,undefined -Db_lundef=false
fi
targets=tests/make_seeds
for kind in "$@"; do
  targets="$targets tests/fuzz_$kind"
  case $kind in image | data | options) targets="$targets tests/make_tool_seeds" ;; esac
  mkdir -p "$work/seeds/$kind" "$work/$kind"
done
# shellcheck disable=SC2086
ninja -C $build $targets
mkdir -p $work/seeds/import
$build/tests/make_seeds $work/seeds
case $targets in *make_tool_seeds*) $build/tests/make_tool_seeds $work/seeds ;; esac
for file in tests/import/*.safetensors; do
  case $file in *.vectors.safetensors) ;; *) cp "$file" $work/seeds/import/ ;; esac
done

# No input may need more memory or time than this: MiB in all and in one block, seconds.
limits="-rss_limit_mb=512 -malloc_limit_mb=128 -timeout=30"
# The longest input of a kind, in bytes: a file of each format, 60 calls, a long command line.
longest() {
  case $1 in
  api) echo 722 ;;
  image | data) echo 8192 ;;
  options) echo 1024 ;;
  *) echo 49152 ;;
  esac
}
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:quarantine_size_mb=32
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
failed=0
for kind in "$@"; do
  log=$work/$kind.log
  # shellcheck disable=SC2086
  if $build/tests/fuzz_"$kind" $limits -max_len="$(longest "$kind")" \
    -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix="$work/$kind-" "$work/$kind" "tests/fuzz/corpus/$kind" \
    "$work/seeds/$kind" > "$log" 2>&1; then
    grep -E ' cov: ' "$log" | tail -n 1
    grep -E 'executed_units|exec_per_sec|peak_rss' "$log"
  else
    tail -n 60 "$log"
    failed=1
  fi
done
exit $failed
