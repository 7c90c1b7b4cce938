#!/bin/sh
# Configures a build folder for a script: a new one, or an existing one anew, for what was missing
# when it was first configured may be there now. The script names the parts that it needs
# (-Dtests=enabled), so that Meson refuses to go on without them; "auto" would leave them out.
# Usage: configure.sh FOLDER [MESON SETUP OPTION ...]. SPDX-License-Identifier: MIT
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$1
shift
[ ! -f "$build/build.ninja" ] || set -- --reconfigure "$@"
exec meson setup "$@" "$build" "$root"
