#!/bin/sh
# What the scripts of the first day do before they build: tests/run.sh and examples/quickstart.sh
# configure a folder that exists anew, with all that they need; --no-install names packages and
# installs none; an installation is announced before it begins. The folders are configured by Meson;
# ninja and apt-get are stand-ins, so that nothing is built and no network is asked.
# Usage: first_day.sh SOURCE_ROOT. SPDX-License-Identifier: MIT
set -u
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
expect() { # WHAT COMMAND...
  what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "WRONG: $what"
    tail -n 20 "$work/out" | sed 's/^/  /'
  fi
}

if ! sh "$root/tests/install-deps.sh" --no-install tests tool > "$work/out" 2>&1; then
  cat "$work/out"
  exit 77
fi

# ---- folders that exist --------------------------------------------------------------------------

# Meson asks ninja for its version and for no more; building fails.
mkdir "$work/no-build"
cat > "$work/no-build/ninja" << 'END'
#!/bin/sh
[ "$*" = --version ] && exec echo 1.11.1
echo "stand-in: ninja does not build"
exit 1
END
chmod +x "$work/no-build/ninja"

option() { # FOLDER OPTION VALUE
  python3 - "$@" << 'END'
import json, sys
options = json.load(open(sys.argv[1] + "/meson-info/intro-buildoptions.json"))
sys.exit([o["value"] for o in options if o["name"] == sys.argv[2]] != [sys.argv[3]])
END
}
tests_in() { # FOLDER
  python3 -c 'import json, sys; print(len(json.load(sys.stdin)))' < "$1/meson-info/intro-tests.json"
}

# As the quick start leaves a folder where CMocka is missing: without tests.
meson setup "$work/a" "$root" -Dtests=disabled -Dglowtool=disabled -Djpeg=disabled \
  > "$work/out" 2>&1
expect "a folder without tests to begin with" [ "$(tests_in "$work/a")" -eq 0 ]
PATH=$work/no-build:$PATH sh "$root/tests/run.sh" --no-install --build "$work/a" > "$work/out" 2>&1
code=$?
expect "run.sh fails where ninja does" [ $code -ne 0 ]
expect "and counts that as a failure" [ "$(tail -n 1 "$work/out")" = "0 passed, 1 failed" ]
expect "run.sh comes to building" grep -q 'stand-in: ninja' "$work/out"
expect "run.sh gives an existing folder its tests" [ "$(tests_in "$work/a")" -gt 50 ]
for part in tests examples glowtool jpeg zlib; do
  expect "run.sh requires $part" option "$work/a" $part enabled
done
# What the caller types has the last word, and the folder keeps what nobody speaks of.
PATH=$work/no-build:$PATH sh "$root/tests/run.sh" --no-install --build "$work/a" -Djpeg=disabled \
  -Dsimd=false > "$work/out" 2>&1
expect "run.sh takes options" option "$work/a" jpeg disabled
PATH=$work/no-build:$PATH sh "$root/examples/quickstart.sh" --no-install --build "$work/a" \
  > "$work/out" 2>&1
expect "the quick start comes to building" grep -q 'stand-in: ninja' "$work/out"
expect "the quick start requires what it needs" option "$work/a" jpeg enabled
expect "the quick start leaves the tests there" option "$work/a" tests enabled
python3 - "$work/a" << 'END'
import json, sys
options = json.load(open(sys.argv[1] + "/meson-info/intro-buildoptions.json"))
sys.exit([o["value"] for o in options if o["name"] == "simd"] != [False])
END
expect "a folder keeps its other options" [ $? -eq 0 ]

# ---- what is missing -----------------------------------------------------------------------------

# A machine with a shell and little else: PATH leads to these commands alone.
mkdir "$work/bare"
for command in sh mktemp rm id cat env; do
  ln -s "$(command -v $command)" "$work/bare/$command"
done
for script in tests/run.sh examples/quickstart.sh; do
  ln -sf "$(command -v dirname)" "$work/bare/dirname"
  printf '#!/bin/sh\necho "apt-get $*" >> "%s/asked"\nexit 1\n' "$work" > "$work/bare/apt-get"
  chmod +x "$work/bare/apt-get"
  PATH=$work/bare "$work/bare/sh" "$root/$script" --no-install > "$work/out" 2>&1
  code=$?
  expect "$script --no-install fails where packages are missing" [ $code -ne 0 ]
  expect "$script --no-install names them" \
    grep -qE 'apt-get install .* gcc libc6-dev meson ninja-build .*libpng-dev' "$work/out"
  expect "$script --no-install does not call apt-get" [ ! -e "$work/asked" ]
done

# Installing, by root: announced before apt-get is called. The stand-in notes what was said by then.
printf '#!/bin/sh\necho 0\n' > "$work/id"
printf '#!/bin/sh\ncp "%s/out" "%s/said"\nexit 1\n' "$work" "$work" > "$work/bare/apt-get"
rm "$work/bare/id"
mv "$work/id" "$work/bare/id"
chmod +x "$work/bare/id"
ln -s "$(command -v cp)" "$work/bare/cp"
PATH=$work/bare "$work/bare/sh" "$root/tests/install-deps.sh" > "$work/out" 2>&1
code=$?
expect "a failed installation fails" [ $code -ne 0 ]
expect "installing says how, and as whom" grep -q '^Installing as root, with apt-get' "$work/said"
expect "installing says what" grep -q 'gcc libc6-dev meson' "$work/said"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
