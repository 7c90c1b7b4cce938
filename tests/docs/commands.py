"""Every command line of the documents runs, on small data under the names that it gives.

    python3 commands.py GLOWTOOL SOURCE_ROOT

The lines that begin with "glowtool" in the documents below, in their order, each document in a
folder of its own, which has the files that the lines name. So that it ends soon, training has small
models and two steps, and numbers of samples are small; all else is run as it stands there.
docs/experiments.md is not among them: it says what was run on data that are not here.
SPDX-License-Identifier: MIT
"""

import os
import pathlib
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import zlib

tool, root = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
DOCUMENTS = ["docs/glowtool.md", "docs/diagnosis.md", "docs/import.md", "README.md"]
SIDE = 32
SMALL = {
    "--steps": "2",
    "--count": "4",
    "--columns": "2",
    "--images": "8",
    "--test-images": "8",
}


# ---- files that the lines name ---------------------------------------------------------------


def pixel(i):
    return (i * 7 + i // 3072 * 29 + i * i % 11) % 256


def picture(path):
    rows = b"".join(
        b"\0" + bytes(pixel(y * 96 + i + len(path)) for i in range(3 * SIDE)) for y in range(SIDE)
    )

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
    pathlib.Path(path).write_bytes(data + chunk(b"IEND", b""))


def cifar(path):
    with open(path, "wb") as file:
        for n in range(16):
            file.write(bytes([n % 10]) + bytes(pixel(n * 3072 + i) for i in range(3072)))


def digits(images, labels):
    with open(images, "wb") as file:
        file.write(struct.pack(">4sIII", b"\0\0\x08\x03", 16, 28, 28))
        file.write(bytes(pixel(i) for i in range(16 * 28 * 28)))
    with open(labels, "wb") as file:
        file.write(struct.pack(">4sI", b"\0\0\x08\x01", 16) + bytes(n % 10 for n in range(16)))


def run(*words):
    return subprocess.run([tool, *words], capture_output=True, text=True, timeout=300)


def model(folder, *data):
    size = ("--levels", "1", "--depth", "1", "--hidden", "4", "--batch", "4", "--steps", "2")
    done = run("train", "--data", *data, *size, "--no-checkpoints", "--out", folder)
    if done.returncode:
        sys.exit(f"{folder}: {done.stderr}")


def make_files():
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        cifar(name)
    digits("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    digits("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    digits("train-images", "train-labels")
    digits("test-images", "test-labels")
    for folder in ("pictures", "photos", "digits"):
        os.mkdir(folder)
        for n in range(8):
            picture(f"{folder}/{n}.png")
    with open("table.csv", "w", encoding="utf-8") as file:
        file.write("name,age,dose,a,b,c\n")
        for n in range(40):
            file.write(f"row{n},{20 + n},{n % 4 / 4},{n * 0.1:g},{n % 7 - 3:g},{n * n % 11:g}\n")
    model("made", "test_batch.bin", "--scale", "sigmoid")
    run("export", "made/model.safetensors", "--format", "y0ast", "--out", "weights.safetensors")
    model("mnist", "train-images-idx3-ubyte")
    for name in ("model.safetensors", "MODEL"):
        pathlib.Path(name).write_bytes(pathlib.Path("made/model.safetensors").read_bytes())
    os.symlink("mnist", "noisy")
    run("sample", "MODEL", "--count", "4", "--type", "float32", "--out", "x.safetensors")


# ---- the lines -------------------------------------------------------------------------------


def lines(path):
    """(number, words) of each command; lines that end with a backslash are one with the next."""
    whole, first = "", 0
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not whole and not line.startswith("    glowtool "):
            continue
        first = first if whole else number
        whole += line.strip()
        if whole.endswith("\\"):
            whole = whole[:-1]
            continue
        words = shlex.split(whole, comments=True)
        if not re.search(r"\[|\||\.\.\.", " ".join(words)):
            yield first, words[1:]
        whole = ""


def small(words):
    """The same command with small numbers, and for training a small model."""
    words = list(words)
    for option, value in SMALL.items():
        if option in words:
            words[words.index(option) + 1] = value
    if words[0] != "train" or "--help" in words:
        return words
    more = {"--steps": SMALL["--steps"], "--batch": "4", "--depth": "1", "--hidden": "4"}
    if "--from" in words:
        more = {"--steps": SMALL["--steps"], "--batch": "4"}
    elif "--resume" in words:  # of a run that has ended after its two steps
        more = {"--steps": "3"}
        if "--steps" in words:
            words[words.index("--steps") + 1] = "4"
    elif "--model" not in words:
        more["--levels"] = "1"
    if "--preset" in words:
        more["--warmup"] = "0"
    for option, value in more.items():
        if option not in words:
            words += [option, value]
    return words


def expand(words):
    """What a shell makes of stars."""
    for word in words:
        if "*" in word:
            yield from sorted(str(p) for p in pathlib.Path(".").glob(word))
        else:
            yield word


count = failed = 0
for document in DOCUMENTS:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_files()
        for number, words in lines(root / document):
            count += 1
            done = run(*expand(small(words)))
            if done.returncode:
                failed += 1
                said = (done.stderr or done.stdout).strip()[-600:]
                command = shlex.join(words)
                print(f"{document}:{number}: glowtool {command}: {done.returncode}: {said}")
        os.chdir(root)
print(f"{count} command lines, {failed} failed")
sys.exit(1 if failed or count < 30 else 0)
