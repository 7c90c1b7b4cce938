#!/bin/sh
# Checks that the vectors beside this script are what make_vectors.py makes. Skipped (77) without PyTorch.
# Usage: vectors.sh. SPDX-License-Identifier: MIT
set -u
folder=$(cd "$(dirname "$0")" && pwd)
# Debian's packages belong to its own python3, which need not be the first on the path.
for python in /usr/bin/python3 python3; do
  if "$python" -c 'import numpy, torch' 2>/dev/null; then
    PYTHONDONTWRITEBYTECODE=1 exec "$python" "$folder/make_vectors.py" --check "$folder"
  fi
done
echo "skipped: there is no python3 with PyTorch and NumPy (Debian: python3-torch)"
exit 77
