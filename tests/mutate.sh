#!/bin/sh
# Would the tests notice? Sows faults into a copy of lib/, one at a time: a changed constant, sign,
# operator or comparison, `&&` for `||`, a statement left out. Runs the quick suites until one fails,
# and at the end names the faults that nobody noticed. A fault that does not compile, or compiles to
# the same code, or stands in mutate/equivalent.txt with the reason why nobody can notice it, does not
# count. Usage:
#   sh tests/mutate.sh [--seed N] [--count N] [--missed] [--only TEXT] [--jobs N] [--longest S]
#   --seed N     which sample (1);  --count N   of how many faults (200)
#   --missed     only what earlier runs with this seed missed, with the tests as they are now
#   --only TEXT  only files whose path holds TEXT; may be given again
#   --jobs N     tests at a time (the number of processors);  --longest S  only tests of up to S seconds
#   --folder DIR where the copy is built and the results are kept (build-mutate)
# A run that was stopped goes on where it was: the results are in DIR/results-SEED.jsonl. Of the tests
# only those that are new or changed are tried on what was missed; with another library, all begins
# again. When a run has ended, only the results are left. Needs Python 3. SPDX-License-Identifier: MIT
exec python3 "$(dirname "$0")/mutate/mutate.py" "$@"
