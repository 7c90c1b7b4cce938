#!/bin/sh
# Sets libglow beside PyTorch: the paper's CIFAR-10 model, log-likelihood, sampling and training, in
# float32 and bfloat16; a table of threads; the 2-D flow. Both sides take turns. Usage:
#   sh tests/bench/compare.sh [BUILD_DIR] [--minutes 10] [--python PYTHON]... [--products float32|bfloat16]
#                             [--threads N] [--levels N] [--depth N] [--hidden N] [--size N]
#   --minutes  no run begins after so many: more minutes are more rounds, and steadier figures
#   --python   an interpreter that has PyTorch; may be given again. Otherwise `python3` and Debian's
#
# PyTorch is tried in all its forms: eager, channels-last, torch.compile (the first time that takes
# minutes), under autocast for bfloat16. Those near the fastest stay for the rounds, and the fastest
# counts. Single figures mislead on busy machines, so ratios are medians over the rounds, with their
# range. The last line is JSON. Status 77: no PyTorch. SPDX-License-Identifier: MIT
exec python3 "$(dirname "$0")/compare.py" "$@"
