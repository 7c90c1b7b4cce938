"""What tests of glowtool's data share: files made byte by byte, reading them with print_samples,
running the tool. The first two arguments are the programs. SPDX-License-Identifier: MIT
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib

tool, reader = (os.path.abspath(a) for a in sys.argv[1:3])
passed = failed = 0
SEED = 20240601


def expect(what, good):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print("WRONG: " + what)


def same(what, found, wanted):
    expect(f"{what}: {str(found)[:300]}, not {str(wanted)[:300]}", found == wanted)


def read(*paths, **options):
    words = [f"{k.replace('_', '-')}={v}" for k, v in options.items() if k != "labels"]
    files = options.get("labels", [])
    words += [f"labels={f}" for f in ([files] if isinstance(files, str) else files)]
    done = subprocess.run([reader, *words, "--", *paths], capture_output=True, text=True)
    if done.returncode:
        expect(f"read {paths} {options}: code {done.returncode} {done.stderr[-500:]}", False)
        return {"error": ""}
    return json.loads(done.stdout)


def refuses(text, *paths, **options):
    found = read(*paths, **options)
    expect(
        f"{paths} {options}: says {str(found)[:300]}, not '{text}'", text in found.get("error", "")
    )


def write(name, data):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
    return name


def png(width, height, channels, pixels):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    n = width * channels
    rows = b"".join(b"\0" + bytes(pixels[y * n : y * n + n]) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def grey(name, value, width=4, height=4):
    return write(name, png(width, height, 1, [value] * (width * height)))


def colour(name, values, width=4, height=4):
    return write(name, png(width, height, 3, list(values) * (width * height)))


def have_zlib():
    """Does the build read what is compressed? Says so where it does not."""
    with tempfile.NamedTemporaryFile(dir=".") as file:
        file.write(b"\x1f\x8b" + bytes(20))
        file.flush()
        found = "no zlib" not in read(file.name).get("error", "")
    if not found:
        print("this build has no zlib: compressed files are not tested")
    return found


def npy(descr, shape, data, fortran=False, version=1):
    text = "{'descr': %r, 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + data


def run(*arguments):
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout + done.stderr


def good(*arguments):
    code, said = run(*arguments)
    expect(f"{' '.join(arguments)}: code {code}: {said[-400:]}", code == 0)
    return said


def bad(text, *arguments):
    code, said = run(*arguments)
    expect(
        f"{' '.join(arguments)}: code {code}: {said[-300:]}, not '{text}'",
        code == 2 and text in said,
    )


def run_all(tests):
    """Each in the same folder, one after the other: later ones use files of earlier ones."""
    print(f"seed {SEED}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for test in tests:
            test()
        os.chdir("/")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
