#!/bin/sh
# Checks that the vectors in a folder are what its make_vectors.py makes. Skipped (77) without PyTorch.
# Usage: vectors.sh FOLDER. SPDX-License-Identifier: MIT
set -u
folder=${1:?usage: vectors.sh FOLDER}
# PYTHON if it is set; Debian's packages belong to its own python3, which need not be the first on
# the path.
for python in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3; do
  if "$python" -c 'import numpy, torch' 2>/dev/null; then
    PYTHONDONTWRITEBYTECODE=1 exec "$python" "$folder/make_vectors.py" --check "$folder"
  fi
done
echo "skipped: there is no python3 with PyTorch and NumPy (Debian: python3-torch)"
exit 77
