"""The pieces of Python in docs/import.md: they are Python, and with PyTorch and safetensors there,
those for PyTorch write files that glowtool imports.

    python3 import.py GLOWTOOL SOURCE_ROOT

The checkpoints that they read are made from the vectors in tests/import. That for TensorFlow is not
run. Ends with 77 (skipped) where only the syntax could be checked. SPDX-License-Identifier: MIT
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

tool, root = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
pieces = re.findall(r"^```python\n(.*?)^```", (root / "docs/import.md").read_text(), re.M | re.S)
if len(pieces) < 4:
    sys.exit("docs/import.md has lost its pieces of Python")
for number, piece in enumerate(pieces):
    compile(piece, f"docs/import.md, piece {number + 1}", "exec")
try:
    import safetensors.torch
    import torch
except ImportError:
    print("skipped: there is no PyTorch with safetensors")
    sys.exit(77)

count = 0
for piece in pieces:
    found = re.search(r'torch\.load\("([^"]+)"', piece)
    if not found:
        continue
    path = pathlib.Path(found[1])
    kind = "y0ast_affine_lu" if "glow_checkpoint" in path.name else "rosinality_affine_lu"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path.parent.mkdir(parents=True)
        torch.save(safetensors.torch.load_file(root / f"tests/import/{kind}.safetensors"), path)
        exec(piece, {})
        words = [tool, "import", "weights.safetensors", "--size", "8", "--out", "m.safetensors"]
        done = subprocess.run(words, capture_output=True, text=True)
        os.chdir(root)
        if done.returncode:
            sys.exit(f"{kind}: {done.stderr}")
        count += 1
print(f"{count} pieces are run")
sys.exit(count < 2)
