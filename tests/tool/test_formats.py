"""Data that people have, as glowtool reads them: folders, labels, CIFAR, IDX, arrays, tables; what
is left out is said; what does not fit in memory is the same.

    python3 test_formats.py GLOWTOOL PRINT_SAMPLES

SPDX-License-Identifier: MIT
"""

import gzip
import json
import os
import random
import struct
import sys
import zipfile

from data_helpers import SEED, colour, expect, grey, have_zlib, npy, png, read, refuses, run_all
from data_helpers import same, write
from image_bytes import chunk, oriented, tiff
from image_bytes import png as any_png

# ---- folders -------------------------------------------------------------------------------------


def folders():
    for name, value in (
        ("a/2.png", 2),
        ("a/10.png", 10),
        ("a/deep/er/5.png", 5),
        ("b/7.png", 7),
        ("6.png", 6),
    ):
        grey("pictures/" + name, value)
    grey("pictures/a/no-ending", 3)
    write("pictures/readme.txt", "not a picture")
    write("pictures/b/movie.gif", b"GIF89a")
    grey("pictures/.hidden.png", 99)
    os.symlink("..", "pictures/b/loop")
    os.symlink("nowhere", "pictures/b/broken")
    found = read("pictures")
    same("all below, by name", [v for v in found["values"][::16]], [6, 10, 2, 5, 3, 7])
    same("names are paths", found["names"][1], "pictures/a/10.png")
    expect("what is left out is counted", "4 files that are no PNG" in found["notes"])
    same("a limit", read("pictures", limit=2)["values"][::16], [6, 10])
    found = read("pictures", folders=1)
    same("classes from folders", found["labels"], [-1, 0, 0, 0, 0, 1])
    same("their names", found["class_names"], ["a", "b"])
    expect("some have none", "1 of 6 samples have no label" in found["notes"])
    write("classes.csv", "class,name\n0,z\n1,b\n2,a\n")
    same(
        "numbers of classes that are known",
        read("pictures", folders=1, classes="classes.csv")["labels"],
        [-1, 2, 2, 2, 2, 1],
    )
    grey("pictures/c/1.png", 1)
    refuses(
        "class 'c' is not one of the 3 that are known", "pictures", folders=1, classes="classes.csv"
    )
    for digit in (10, 2, 0):
        grey(f"digits/{digit}/x.png", digit)
    found = read("digits", folders=1)
    same(
        "folders that are numbers stand for themselves",
        (found["labels"], found["classes"]),
        ([0, 10, 2], 11),
    )
    write("empty/text.txt", "x")
    refuses("no PNG, JPEG or WebP images in this folder or below it, but 1 other files", "empty")
    os.makedirs("nothing")
    refuses("nothing: an empty folder", "nothing")


def mixtures():
    grey("mix/a.png", 9)
    colour("mix/b.png", (10, 200, 30))
    found = read("mix")
    same(
        "to the wider",
        (found["channels"], found["values"][:3], found["values"][48:51]),
        (3, [9, 9, 9], [10, 200, 30]),
    )
    expect("that is said", "1 grey images become colour" in found["notes"])
    found = read("mix", channels=1)
    luma = (299 * 10 + 587 * 200 + 114 * 30 + 500) // 1000
    same("to grey", (found["channels"], found["values"][0], found["values"][16]), (1, 9, luma))
    same("grey alone stays grey", read("mix/a.png")["channels"], 1)
    grey("sizes/a.png", 8, 4, 4)
    grey("sizes/b.png", 16, 2, 2)
    grey("sizes/c.png", 24, 3, 9)
    refuses("b.png: images of 2 x 2 with 1 channels, after others of 4 x 4 with 1; --size", "sizes")
    refuses(
        "2 of 3 images are smaller than the 4 x 4 that is needed (the first: sizes/b.png, 2 x 2); "
        "--upsample enlarges them, --skip-small leaves them out",
        "sizes",
        size=4,
    )
    found = read("sizes", size=4, skip_small=1)
    same("small ones left out", found["names"], ["sizes/a.png"])
    expect("and counted", "2 images are smaller than 4 x 4 and were left out" in found["notes"])
    same("enlarged", read("sizes", size=4, upsample=1)["values"], [8] * 16 + [16] * 16 + [24] * 16)
    ramp = write("ramp.png", png(8, 4, 1, [x * 10 for _ in range(4) for x in range(8)]))
    same("not square", read(ramp, size="4x2")["values"], [5, 25, 45, 65] * 2)
    same("the middle, not square", read(ramp, size="2x4")["values"], [30, 40] * 4)
    small = write("small.png", png(2, 1, 1, [10, 30]))
    same(
        "whole factors repeat", read(small, size="4x2", upsample=1)["values"], [10, 10, 30, 30] * 2
    )
    same("padded", read(small, pad="4x3")["values"], [0, 0, 0, 0, 0, 10, 30, 0, 0, 0, 0, 0])
    refuses("small.png: 2 x 1 pixels do not fit into the 1 x 1 of --pad", "small.png", pad="1")
    grey("pads/a.png", 1, 1, 1)
    grey("pads/b.png", 1, 2, 2)
    refuses("pads/b.png: 2 x 2 pixels do not fit into", "pads", pad="1")
    refuses("contradict each other", small, upsample=1, skip_small=1)


def middle(height, width, to_height, to_width):
    """The largest part of these proportions: top, left, rows, columns."""

    def part(a, b, c, most):
        return max(1, min(most, (2 * a * b + c) // (2 * c)))

    tall = height * to_width > width * to_height
    rows = part(width, to_height, to_width, height) if tall else height
    columns = width if tall else part(height, to_width, to_height, width)
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def resized(grid, to_height, to_width):
    """Means over areas of a grid of tuples, exact, halves up."""
    top, left, rows, columns = middle(len(grid), len(grid[0]), to_height, to_width)

    def areas(i, side, size):
        """Pixels under output i, with the length of what is covered, in 1 / size of a pixel."""
        begin, end = i * side, (i + 1) * side
        pixels = range(begin // size, -(-end // size))
        return [(p, min(end, (p + 1) * size) - max(begin, p * size)) for p in pixels]

    out = []
    for y in range(to_height):
        for x in range(to_width):
            for c in range(len(grid[0][0])):
                total = sum(
                    a * b * grid[top + p][left + q][c]
                    for p, a in areas(y, rows, to_height)
                    for q, b in areas(x, columns, to_width)
                )
                out.append((2 * total + rows * columns) // (2 * rows * columns))
    return out


def turned():
    """Pictures that are turned and resized at once, as their rows are read."""
    rng = random.Random(SEED)
    luma = (299, 587, 114)
    for orientation in range(1, 9):
        width, height = rng.randint(5, 13), rng.randint(5, 13)
        stored = [
            [tuple(rng.randrange(256) for _ in range(3)) for _ in range(width)]
            for _ in range(height)
        ]
        rows = [[v for pixel in row for v in pixel] for row in stored]
        mark = chunk(b"eXIf", tiff(orientation, orientation % 2))
        end = chunk(b"IEND", b"")
        seen = oriented(orientation, stored)
        files = (
            any_png(width, height, 8, 2, rows, extra=mark),
            any_png(width, height, 8, 2, rows, extra=mark, interlaced=True),
            any_png(width, height, 8, 2, rows, end=mark + end),
        )
        for file in files:
            write("turned.png", file)
            for to_width, to_height in ((3, 3), (4, 2), (2, 5), (len(seen[0]), len(seen))):
                found = read("turned.png", size=f"{to_width}x{to_height}")
                wanted = resized(seen, to_height, to_width)
                same(f"turned {orientation}, {to_width} x {to_height}", found["values"], wanted)
            found = read("turned.png", size="30x31", upsample=1)["values"]
            same(f"turned {orientation}, enlarged", found, resized(seen, 31, 30))
        grey_seen = [
            [((sum(a * b for a, b in zip(luma, pixel)) + 500) // 1000,) for pixel in row]
            for row in seen
        ]
        found = read("turned.png", size=4, channels=1)["values"]
        same(f"turned {orientation}, grey", found, resized(grey_seen, 4, 4))


def bad_files():
    for i in range(3):
        grey(f"bad/{i}.png", i)
    whole = png(4, 4, 1, range(16))
    write("bad/1b.png", whole[:-20])
    write("bad/1c.png", whole[:20])
    refuses("bad/1c.png: damaged or truncated PNG", "bad")
    os.unlink("bad/1c.png")
    refuses("bad/1b.png: damaged or truncated PNG", "bad")
    write("bad/1c.png", whole[:20])
    found = read("bad", skip_bad=1)
    same("bad ones left out", found["values"][::16], [0, 1, 2])
    expect(
        "and counted: " + found["notes"],
        "2 samples that cannot be read were left out (the first: bad/1" in found["notes"],
    )
    refuses("PNG", "bad/1b.png", skip_bad=1)
    write("stray.gif", b"GIF89a")
    refuses("stray.gif: a GIF image", "bad/0.png", "stray.gif")
    found = read("bad/0.png", "stray.gif", skip_bad=1)
    same("a stray file left out", found["names"], ["bad/0.png"])
    expect("and said", "1 samples that cannot be read" in found["notes"])


# ---- labels --------------------------------------------------------------------------------------


def labels():
    for name in ("x/1.png", "x/2.png", "y/1.png"):
        grey("named/" + name, 1)
    write("table.csv", "file,label\nx/1.png,dog\nx/2.png,cat\ny/1.png,dog\nz.png,cow\n")
    found = read("named", labels="table.csv")
    same(
        "labels by file",
        ([found["class_names"][k] for k in found["labels"]], found["classes"]),
        (["dog", "cat", "dog"], 3),
    )
    expect("rows of no image", "1 rows name no image" in found["notes"])
    write("table.csv", "y/1.png,4\nx/2.png,\n")
    found = read("named", labels="table.csv")
    same("numbers, and none", (found["labels"], found["classes"]), ([-1, -1, 4], 5))
    write("table.csv", "q.png,4\n")
    refuses(
        "none of its rows (the first: 'q.png') names one of the images", "named", labels="table.csv"
    )
    write("table.csv", "x/1.png,4\nx/1.png,5\n")
    refuses("'x/1.png' has two labels", "named", labels="table.csv")
    write("column.csv", "label\nb\na\nb\n")
    found = read("named", labels="column.csv")
    same("a column", [found["class_names"][k] for k in found["labels"]], ["b", "a", "b"])
    idx = lambda magic, *dims: struct.pack(f">{1 + len(dims)}I", magic, *dims)
    for k in (1, 2):
        write(f"img{k}", idx(0x803, 3, 2, 2) + bytes(range(12)))
    write("lab1", idx(0x801, 3) + b"\0\1\2")
    write("lab2", idx(0x801, 3) + b"\3\4\5")
    write("lab6", idx(0x801, 6) + bytes(range(6)))
    refuses("3 labels for 6 images", "img1", "img2", labels="lab1")
    refuses(
        "one file of labels (lab6) for 2 of data: give one for each", "img1", "img2", labels="lab6"
    )
    same(
        "one for each", read("img1", "img2", labels=["lab1", "lab2"])["labels"], [0, 1, 2, 3, 4, 5]
    )
    refuses("2 files of labels for 1 of data", "img1", labels=["lab1", "lab2"])
    refuses("holds its own labels", write("c.bin", bytes([1]) + bytes(3072)), labels="lab1")
    refuses("an IDX file of labels: name it with --labels", "lab1")
    write("y.npy", npy("<i8", (3,), struct.pack("<3q", 5, -1, 2)))
    same("labels of .npy", read("img1", labels="y.npy")["labels"], [5, -1, 2])
    write("three.csv", "class,name\n0,z\n1,b\n2,a\n")
    found = read("img1", labels="lab1", classes="three.csv")
    same(
        "numbers with names",
        (found["labels"], found["classes"], found["class_names"]),
        ([0, 1, 2], 3, ["z", "b", "a"]),
    )
    write("plain.csv", b"\xef\xbb\xbfz\r\nb, c\r\n\r\na\r\n")
    found = read("img1", labels="lab1", classes="plain.csv")
    same("names alone, as spreadsheets save them", found["class_names"], ["z", "b, c", "a"])
    for names, text in (
        ("0,z\n1,\n2,a\n", "class 1 has no name"),
        ("0,z\n2,a\n", "class 2 stands where 1 belongs"),
        ("z\nb\0\na\n", "byte 3 is zero"),
        ("\n", "no names of classes"),
    ):
        refuses(text, "img1", labels="lab1", classes=write("odd.csv", names))
    write("twice.csv", "crane\nball\ncrane\n")
    same("a name twice", read("img1", labels="lab1", classes="twice.csv")["labels"], [0, 1, 2])
    write("column.csv", "label\nball\nball\ncrane\n")
    refuses(
        "row 2: 'crane' is the name of two classes, 0 and 2",
        "img1",
        labels="column.csv",
        classes="twice.csv",
    )
    write("broken", idx(0x803, 3, 2, 2))
    refuses("broken: truncated", "broken", labels="lab1", skip_bad=1)
    refuses("its label is 3, but only 3 classes", "img1", labels="lab2", classes="three.csv")
    refuses("its label is 5, but only 3 classes", "img1", labels="y.npy", classes="three.csv")


# ---- CIFAR and IDX -------------------------------------------------------------------------------


def cifar():
    planes = bytes(range(256)) * 12
    pixels = [planes[c * 1024 + p] for p in range(1024) for c in range(3)]
    for k in (1, 3):
        write(f"cifar-10-batches-bin/data_batch_{k}.bin", bytes([k]) + planes)
    write("cifar-10-batches-bin/test_batch.bin", bytes([7]) + planes)
    found = read("cifar-10-batches-bin")
    same(
        "the folder", (found["labels"], found["classes"], found["values"]), ([1, 3], 10, pixels * 2)
    )
    same("its test part", read("cifar-10-batches-bin", test=1)["labels"], [7])
    expect("that is said", "data_batch_*.bin" in found["notes"])
    hundred = write(
        "cifar-100-binary/train.bin", bytes([19, 99]) + planes + bytes([3, 42]) + planes
    )
    write("cifar-100-binary/fine_label_names.txt", "x")
    for source in (hundred, "cifar-100-binary"):
        found = read(source)
        same(
            "CIFAR-100",
            (found["labels"], found["classes"], found["values"]),
            ([99, 42], 100, pixels * 2),
        )
        found = read(source, format="cifar100-coarse")
        same("coarse", (found["labels"], found["classes"]), ([19, 3], 20))
    refuses("without test.bin", "cifar-100-binary", test=1)
    refuses(
        "label 100 of record 0 is not 0 to 99",
        write("wrong.bin", bytes([1, 100]) + planes),
        format="cifar100",
    )


def idx():
    header = struct.pack(">4I", 0x803, 2, 2, 3)
    images = write("t10k", header + bytes(range(12)))
    same("MNIST", read(images)["values"], list(range(12)))
    for name in ("emnist-letters-images", "other"):
        write(name, header + bytes(range(12)))
    turned = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    found = read("emnist-letters-images")
    same("EMNIST's lie", (found["values"], found["height"], found["width"]), (turned, 3, 2))
    expect("that is said", "transposed" in found["notes"])
    same("by --format", read("other", format="emnist")["values"], turned)
    same("or not", read("emnist-letters-images", format="mnist")["values"], list(range(12)))
    write("letters", struct.pack(">2I", 0x801, 2) + b"\x01\x1a")
    found = read("emnist-letters-images", labels="letters")
    same("letters from 1", (found["labels"], found["classes"]), ([0, 25], 26))
    expect("that is said", "labels 1 to 26" in found["notes"])
    image = read(write("m28", struct.pack(">4I", 0x803, 1, 28, 28) + bytes([200]) * 784), pad="32")
    same(
        "padded to 32",
        (image["height"], sum(image["values"]), image["values"][:66]),
        (32, 200 * 784, [0] * 66),
    )


# ---- arrays --------------------------------------------------------------------------------------


def tensors(name, **items):
    header, data = {}, b""
    for key, (dtype, shape, raw) in items.items():
        header[key] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return write(name, struct.pack("<Q", len(text)) + text + data)


NUMBERS = [0.0, 1.5, -2.25, 3.0, 100.0, -0.125]
TYPES = {"<f4": "<6f", ">f4": ">6f", "<f8": "<6d", ">f8": ">6d", "<f2": "<6e"}
WHOLE = {
    "|u1": "6B",
    "|i1": "6b",
    "<i2": "<6h",
    ">i2": ">6h",
    "<u2": "<6H",
    "<i4": "<6i",
    "<u4": "<6I",
    "<i8": "<6q",
    ">i8": ">6q",
    "<u8": "<6Q",
    "|b1": "6B",
}


def numpy_arrays():
    for descr, code in TYPES.items():
        write("x.npy", npy(descr, (2, 3), struct.pack(code, *NUMBERS)))
        found = read("x.npy", vectors=1)
        same(
            descr,
            (found["values"], found["count"], found["channels"], found["floats"]),
            (NUMBERS, 2, 3, 1),
        )
    for descr, code in WHOLE.items():
        values = [0, 1, 1, 0, 1, 0] if descr == "|b1" else [0, 1, 2, 3, 100, 127]
        write("x.npy", npy(descr, (2, 3), struct.pack(code, *values)))
        same(descr, read("x.npy", vectors=1)["values"], values)
        write("x.npy", npy(descr, (1, 2, 3), struct.pack(code, *values)))
        found = read("x.npy")
        same(
            descr + " as an image",
            (found["values"], found["floats"], found["height"]),
            (values, 0, 2),
        )
    for version in (2, 3):
        write("x.npy", npy("<f4", (2, 3), struct.pack("<6f", *NUMBERS), version=version))
        same(f"version {version}", read("x.npy", vectors=1)["values"], NUMBERS)
    write("x.npy", npy("<f4", (6,), struct.pack("<6f", *NUMBERS)))
    same("one dimension", read("x.npy", vectors=1)["count"], 6)
    write("x.npy", npy("<f4", (2, 3), struct.pack("<6f", *NUMBERS), fortran=True))
    refuses("Fortran's order: save numpy.ascontiguousarray", "x.npy", vectors=1)
    pixels = list(range(24))
    write("x.npy", npy("|u1", (2, 2, 2, 3), bytes(pixels)))
    same("pixels", read("x.npy")["values"], pixels)
    planar = [pixels[n * 12 + p * 3 + c] for n in range(2) for c in range(3) for p in range(4)]
    write("x.npy", npy("|u1", (2, 3, 2, 2), bytes(planar)))
    refuses("if these are [N, C, H, W], say --planar", "x.npy")
    same("planar", read("x.npy", planar=1)["values"], pixels)
    write("x.npy", npy("<i8", (1, 1, 1, 1), struct.pack("<q", 256)))
    refuses("256 is not a pixel", "x.npy")
    for descr in ("|O", "<c8", "|S3", "<M8[ns]", [("a", "<f4")]):
        write("x.npy", npy(descr, (1, 2), bytes(64)))
        refuses("float16, float32, float64 and whole numbers are read", "x.npy", vectors=1)
    write("x.npy", npy("<f4", (3, 3), struct.pack("<6f", *NUMBERS)))
    refuses("24 bytes of data, but its shape needs 36", "x.npy", vectors=1)
    write("x.npy", npy("<f4", (1 << 40, 1 << 40), b""))
    refuses("does not fit 64 bits", "x.npy", vectors=1)
    write("x.npy", npy("<f8", (2, 1), struct.pack("<2d", 1.0, 1e300)))
    refuses("sample 1 of 'the array': value 0 is not finite as float32", "x.npy", vectors=1)
    found = read("x.npy", vectors=1, skip_bad=1)
    same("left out", (found["count"], found["values"]), (1, [1.0]))
    write("x.npy", npy("<f4", (2, 3), struct.pack("<6f", *NUMBERS)))
    found = read("x.npy", vectors=1, data_columns="2,0", condition="1")
    same(
        "columns by number",
        (found["values"], found["conditions"]),
        ([-2.25, 0.0, -0.125, 3.0], [1.5, 100.0]),
    )


def archive_of(name, arrays, method):
    """As numpy.savez writes it, with the fields of ZIP64."""
    with zipfile.ZipFile(name, "w", method) as archive:
        for key, data in arrays.items():
            with archive.open(key + ".npy", "w", force_zip64=True) as file:
                file.write(data)


def archives():
    arrays = {
        "x": npy("<f4", (2, 3), struct.pack("<6f", *NUMBERS)),
        "y": npy("<i8", (2,), struct.pack("<2q", 1, -1)),
        "condition": npy("<f8", (2, 1), struct.pack("<2d", 7, 8)),
        "other": npy("|O", (2,), b"pickled"),
    }
    archive_of("a.npz", arrays, zipfile.ZIP_STORED)
    found = read("a.npz", vectors=1)
    same(
        "an archive",
        (found["values"], found["labels"], found["conditions"]),
        (NUMBERS, [1, -1], [7.0, 8.0]),
    )
    same("limit", read("a.npz", vectors=1, limit=1)["values"], NUMBERS[:3])
    refuses("there is no array 'z'; there are x.npy, y.npy", "a.npz", vectors=1, tensor="z")
    with zipfile.ZipFile("one.npz", "w") as archive:
        archive.writestr("arr_0.npy", arrays["x"])
    same("the only one", read("one.npz", vectors=1)["values"], NUMBERS)
    whole = open("a.npz", "rb").read()
    refuses("no directory at the end", write("cut.npz", whole[:-30]), vectors=1)
    with zipfile.ZipFile("plain.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    refuses("there is no array 'x'", "plain.zip", vectors=1)


def tensor_files():
    half = struct.pack("<6e", *NUMBERS)
    bfloat = b"".join(struct.pack("<f", v)[2:] for v in NUMBERS)
    for dtype, raw in (
        ("F32", struct.pack("<6f", *NUMBERS)),
        ("F64", struct.pack("<6d", *NUMBERS)),
        ("F16", half),
        ("BF16", bfloat),
    ):
        found = read(tensors("x.safetensors", x=(dtype, [2, 3], raw)), vectors=1)
        same(dtype, (found["values"], found["floats"]), (NUMBERS, 1))
    for dtype, raw in (
        ("U8", bytes(range(12))),
        ("I64", struct.pack("<12q", *range(12))),
        ("I32", struct.pack("<12i", *range(12))),
    ):
        name = tensors(
            "x.safetensors",
            x=(dtype, [2, 2, 3, 1], raw),
            mask=("BOOL", [1], b"\1"),
            y=("I64", [2], struct.pack("<2q", 3, -1)),
        )
        found = read(name)
        same(
            dtype + " as images",
            (found["values"], found["floats"], found["labels"]),
            (list(range(12)), 0, [3, -1]),
        )
        same(dtype + " as vectors", read(name, vectors=1)["values"], list(range(12)))
    refuses(
        "of a type that is not read",
        tensors("x.safetensors", x=("F8_E4M3", [2, 3], bytes(6))),
        vectors=1,
    )
    refuses(
        "there is no tensor 'x'",
        tensors("x.safetensors", a=("U8", [1, 1, 1, 1], b"\1"), b=("U8", [1], b"\1")),
    )
    same("another tensor", read("x.safetensors", tensor="a")["values"], [1])


# ---- compressed ----------------------------------------------------------------------------------


def compressed():
    """By its contents: the names say nothing."""
    if not have_zlib():
        return
    planes = bytes(range(256)) * 12
    same("CIFAR", read(write("a", gzip.compress(bytes([4]) + planes)))["labels"], [4])
    header = struct.pack(">4I", 0x803, 2, 2, 3)
    packed = gzip.compress(header + bytes(range(12)))
    same("IDX", read(write("a", packed))["values"], list(range(12)))
    noise = random.Random(SEED).randbytes(60000)
    cut = write("cut", gzip.compress(struct.pack(">4I", 0x803, 10000, 2, 3) + noise)[:40000])
    same("a limit unpacks no further", read(cut, limit=2)["values"], list(noise[:12]))
    refuses("truncated or damaged gzip data", cut)
    array = npy("<f4", (2, 3), struct.pack("<6f", *NUMBERS))
    same("an array", read(write("a", gzip.compress(array)), vectors=1)["values"], NUMBERS)
    table = "".join(f"{i},{-i}\n" for i in range(5000))
    same("a table", read(write("a", gzip.compress(table.encode())), vectors=1)["count"], 5000)
    archive_of("deflated.npz", {"x": array}, zipfile.ZIP_DEFLATED)
    same("an archive", read("deflated.npz", vectors=1)["values"], NUMBERS)
    whole = bytearray(open("deflated.npz", "rb").read())
    for place in range(60, 100, 7):
        whole[place] ^= 4
        found = read(write("damaged.npz", bytes(whole)), vectors=1)
        whole[place] ^= 4
        expect(f"damage at {place} shows", "damaged" in found.get("error", ""))


# ---- tables --------------------------------------------------------------------------------------


def tables():
    name = write(
        "t.csv", '"id","a","b, c",kind\nr1, 1.5 ,-2e3,dog\r\n"r ""2""",3,4,cat\n\nr3,5,6,\n'
    )
    found = read(name, vectors=1, id_column="id", label_column="kind")
    same(
        "a table",
        (found["values"], found["names"], found["labels"], found["class_names"]),
        ([1.5, -2000.0, 3.0, 4.0, 5.0, 6.0], ["r1", 'r "2"', "r3"], [1, 0, -1], ["cat", "dog"]),
    )
    found = read(name, vectors=1, data_columns="a", condition="b, c", id_column="id")
    refuses(
        "there is no column 'b'; there are id, a, b, c, kind", name, vectors=1, condition="b, c"
    )
    refuses("row 0, column 'id': 'r1' is not a number (--data-columns chooses", name, vectors=1)
    refuses("a table, where images are wanted; --shape WxHxC", name, id_column="id")
    rows = "label,p0,p1,p2,p3,p4,p5\n7,0,1,2,3,4,5\n2,250,251,252,253,254,255\n"
    found = read(write("m.csv", rows), shape="3x2", label_column="label")
    same(
        "rows that are images",
        (found["values"], found["height"], found["width"], found["labels"], found["floats"]),
        (list(range(6)) + list(range(250, 256)), 2, 3, [7, 2], 0),
    )
    found = read("m.csv", shape="1x2x3", label_column="label", planar=1)
    same("in planes", found["values"][:6], [0, 2, 4, 1, 3, 5])
    refuses("rows of 7 values, but images of 3 x 2 x 1 have 6", "m.csv", shape="3x2")
    refuses("2.5 is not a pixel", write("v.csv", "1,2.5\n"), shape="2x1")
    refuses("256 is not a pixel", write("v.csv", "1,256\n"), shape="2x1")
    refuses("shape '3' is not WxH or WxHxC", "m.csv", shape="3")
    write("rows.npy", npy("|u1", (2, 7), bytes([7, 0, 1, 2, 3, 4, 5, 2, 9, 8, 7, 6, 5, 4])))
    for table, column in (("m.csv", "label"), ("rows.npy", "0")):
        refuses("rows that are images, by --shape, have none", table, shape="3x2", condition=column)
    found = read("rows.npy", shape="3x2", label_column="0")
    same("rows of an array", (found["values"][:6], found["labels"]), (list(range(6)), [7, 2]))
    for text in ("1,2\n3,4\n", "\ufeff1;2\n3;4", "1\t2\r\n3\t4\r\n", "a,b\n1,2\n3,4\n"):
        same(repr(text), read(write("u.csv", text), vectors=1)["values"], [1.0, 2.0, 3.0, 4.0])
    found = read(write("u.csv", "0,1,2\n5,6,7\n"), vectors=1)
    same("pandas counts columns", found["values"], [5.0, 6.0, 7.0])
    expect("that is said", "taken for the columns' names" in found["notes"])
    same("or they are data", read("u.csv", vectors=1, header="no")["values"], [0, 1, 2, 5, 6, 7])
    refuses("row 1 has 3 fields where the first has 2", write("u.csv", "1,2\n3,4,5\n"), vectors=1)
    same("bad rows left out", read("u.csv", vectors=1, skip_bad=1)["count"], 1)
    refuses("row 1, column '1': '' is not a number", write("u.csv", "1,2\n3,\n"), vectors=1)
    refuses("row 1, column '0': 'nan' is not finite", write("u.csv", "1,2\nnan,3\n"), vectors=1)
    same("or let through", read("u.csv", vectors=1, nonfinite=1)["values"], [1.0, 2.0, None, 3.0])
    refuses("a quote is opened and never closed", write("u.csv", '1,2\n"3,4\n'), vectors=1)
    refuses("a header, but no rows", write("u.csv", "a,b\n"), vectors=1)
    refuses(
        "column 'a' is named twice", write("u.csv", "a,b\n1,2\n"), vectors=1, data_columns="a,a"
    )
    same(
        "a limit reads no further",
        read(write("u.csv", "1,2\n3,4\nx,y\n"), vectors=1, limit=2)["count"],
        2,
    )
    many = "".join(f"{i},{-i}\n" for i in range(5000))
    same("many rows", read(write("u.csv", many), vectors=1)["values"][-2:], [4999, -4999])
    same(
        "BMI is no bitmap", read(write("u.csv", "BMI,age\n20,30\n"), vectors=1)["values"], [20, 30]
    )


def meanings():
    picture, array = grey("one.png", 1), write("a.npy", npy("|u1", (1, 2, 2), bytes(4)))
    table = write("w.csv", "1,2\n3,4\n")
    for option, value in (
        ("data-columns", "0"),
        ("condition", "0"),
        ("label-column", "0"),
        ("shape", "2x1"),
    ):
        refuses(
            f"--{option} means nothing here: the data are not a table", picture, **{option: value}
        )
    refuses(
        "--id-column means nothing here: the data are not a table of text", array, id_column="0"
    )
    refuses("--header means nothing here", array, header="no")
    refuses("--tensor means nothing here: the data are not files of named", array, tensor="x")
    refuses("--planar means nothing here", picture, planar=1)
    refuses("--background means nothing here", table, vectors=1, background="black")
    refuses("--classes-from means nothing here", array, folders=1)


# ---- more than memory ----------------------------------------------------------------------------


def streams():
    noise = random.Random(SEED)
    pixels = noise.randbytes(1200 * 32 * 32)
    big = write("big.idx", struct.pack(">4I", 0x803, 1200, 32, 32) + pixels)
    one, two = read(big, memory=1), read(big)
    expect(
        "too large for a MiB",
        not one["kept"] and two["kept"] and "read whenever they are" in one["notes"],
    )
    same("the same bits", one["values"] == two["values"] == list(pixels), True)
    small = write("big.npy", npy("<f4", (90000, 4), struct.pack("<360000f", *range(360000))))
    one = read(small, vectors=1, memory=1)
    same("floats too", (one["kept"], one["values"] == list(range(360000))), (0, True))
    table = "\n".join(f"{i},{-i}" for i in range(140000))
    one = read(write("big.csv", table), vectors=1, memory=1)
    same("and tables", (one["kept"], one["values"][-2:]), (0, [139999.0, -139999.0]))
    for i in range(300):
        write(f"photos/{i:03d}.png", png(64, 64, 1, noise.randbytes(4096)))
    write("photos/100b.png", b"\x89PNG\r\n\x1a\n")
    one, two = read("photos", memory=1, skip_bad=1), read("photos", skip_bad=1)
    expect("pictures too", not one["kept"] and two["kept"])
    same("the same pictures", one["values"] == two["values"] and len(one["values"]), 300 * 4096)
    same("a limit reads no further", read("photos", limit=100)["count"], 100)


sys.exit(
    run_all(
        (
            folders,
            mixtures,
            turned,
            bad_files,
            labels,
            cifar,
            idx,
            numpy_arrays,
            archives,
            tensor_files,
            compressed,
            tables,
            meanings,
            streams,
        )
    )
)
