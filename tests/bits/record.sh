#!/bin/sh
# Records again what tests/bits/test_bits.c compares with, for the kernels that this CPU can run. Use it
# only when the bits are meant to change: see CONTRIBUTING.md. Usage: record.sh [BUILD]   default: build
# SPDX-License-Identifier: MIT
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
build=${1:-$folder/../../build}
ninja -C "$build" tests/test_bits
"$build/tests/test_bits" --record "$folder"
