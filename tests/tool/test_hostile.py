"""Files that lie about themselves: sizes that overflow, are negative, huge or zero, data that end
too early, and small files that unpack to large ones. Each is refused with a message that names the
file and what is wrong, and none makes the reader take memory that the file does not hold.

    python3 test_hostile.py GLOWTOOL PRINT_SAMPLES

SPDX-License-Identifier: MIT
"""

import gzip
import io
import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib

from data_helpers import expect, have_zlib, npy, reader, run_all, tool, write
from image_bytes import SIGNATURE, chunk, jpeg, marker, png

MIB = 1 << 20
# What a reader may take beyond what it takes for a file of one pixel: buffers of libraries, and the
# 16 MiB that are allowed where nothing else is said.
SLACK = 64 * MIB


def peak(*arguments):
    """Output of print_samples, and the most memory that it had, in bytes; 0 where no one tells."""
    done = subprocess.run([reader, "peak=1", *arguments], capture_output=True)
    text = (done.stdout + done.stderr).decode(errors="replace")
    expect(f"{arguments}: code {done.returncode}: {text[-300:]}", done.returncode == 0)
    found = re.search(r'"peak": (\d+)', text)
    return text, int(found.group(1)) * 1024 if found else 0


def check(name, data, text, *options):
    """The file must be refused, with its name and the text, within the memory."""
    write(name, data)
    limit = [] if any(o.startswith("max-memory") for o in options) else ["max-memory=16"]
    said, most = peak(*options, *limit, "--", name)
    try:
        error = json.loads(said).get("error", "")
    except ValueError:
        error = ""
    expect(f"{name}: says '{said[:300]}', not '{text}'", name in error and text in error)
    expect(
        f"{name}: {most / MIB:.1f} MiB, where one pixel takes {base / MIB:.1f}", most < base + SLACK
    )


def accept(name, data, *options):
    write(name, data)
    said, most = peak(*options, "--", name)
    expect(f"{name}: is read: {said[:300]}", '"error"' not in said and '"count": 1' in said)
    expect(
        f"{name}: {most / MIB:.1f} MiB, where one pixel takes {base / MIB:.1f}", most < base + SLACK
    )


# ---- pictures ------------------------------------------------------------------------------------


def packed(size, unit=b"\0", level=9, wbits=15):
    """zlib's format, of `size` zeros."""
    c = zlib.compressobj(level, zlib.DEFLATED, wbits)
    piece = unit * MIB
    out = [c.compress(piece) for _ in range(size // MIB)]
    out.append(c.compress(unit * (size % MIB)))
    return b"".join(out) + c.flush()


def header(width, height, depth=8, colour=0, interlaced=0):
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)


def png_of(head, data, extra=b""):
    return SIGNATURE + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def pngs():
    one = png(1, 1, 8, 0, [[7]])
    side = 9000  # 81 million pixels in 80 KB
    large = png_of(header(side, side), packed(side * (side + 1)))
    check("large.png", large, "9000 x 9000 pixels are more than the 64000000 of --max-pixels")
    check("large.png", large, "more than the 1000000 of", "max-pixels=1000000", "size=8")
    accept("large.png", large, "max-pixels=100000000", "size=8", "max-memory=16")
    check("large.png", large, "a sample takes 77.2 MiB", "max-pixels=100000000")
    wide = 5000  # all rows of an interlaced one are in memory: 24 MB
    part = sum((-(-wide // dy) * (1 + -(-wide // dx))) for dx, dy in [(8, 8), (8, 8), (4, 8)])
    part += sum(
        (-(-wide // dy) * (1 + -(-wide // dx))) for dx, dy in [(4, 4), (2, 4), (2, 2), (1, 2)]
    )
    check(
        "interlaced.png",
        png_of(header(wide, wide, interlaced=1), packed(part)),
        "an interlaced PNG takes 23.8 MiB of memory",
        "size=8",
    )
    text = chunk(b"zTXt", b"k\0\0" + packed(7 * MIB))
    profile = chunk(b"iCCP", b"p\0\0" + packed(7 * MIB))
    accept("texts.png", png_of(header(1, 1), zlib.compress(b"\0\7"), 40 * text + profile))
    for name, width, height in (("none", 0, 1), ("none", 1, 0)):
        check(
            f"{name}.png", png_of(header(width, height), b""), "damaged or truncated PNG, byte 33"
        )
    check("huge.png", png_of(header(2**31 - 1, 2**31 - 1), b""), "damaged or truncated PNG")
    check("long.png", png_of(header(16385, 1), b""), "16385 x 1 pixels; 1 to 16384 a side are read")
    check("cut.png", one[:-20], "byte 41: the file ends too early")
    check("header.png", one[:20], "byte 16: the file ends too early")
    check(
        "length.png", one[:33] + b"\xff\xff\xff\xff" + one[37:], "damaged or truncated PNG, byte 41"
    )
    check("depth.png", png_of(header(1, 1, depth=7), b""), "damaged or truncated PNG")
    check("less.png", png_of(header(9, 9), zlib.compress(bytes(10))), "damaged or truncated PNG")
    check("sum.png", one.replace(b"IDAT", b"IDAU"), "damaged or truncated PNG")


def frame(width, height, kind, parts=1):
    text = struct.pack(">BHHB", 8, height, width, parts)
    return marker(kind, text + b"".join(bytes([i + 1, 0x11, 0]) for i in range(parts)))


def progressive(width, height, scans):
    """One component; scans (first, last, high, low) whose blocks are all empty."""
    tables = marker(0xDB, b"\0" + b"\1" * 64)
    for kind in (b"\0", b"\x10"):
        tables += marker(0xC4, kind + bytes([1] + [0] * 15) + b"\0")
    out = b"\xff\xd8" + tables + frame(width, height, 0xC2)
    for first, last, high, low in scans:
        out += marker(0xDA, bytes([1, 1, 0, first, last, high << 4 | low])) + b"\x7f"
    return out + b"\xff\xd9"


def jpegs():
    write("one.jpg", jpeg(1, 1, [[7]]))
    said, _ = peak("--", "one.jpg")
    if "no libjpeg" in said:
        print("this build has no libjpeg: JPEG is not tested")
        return
    big = b"\xff\xd8" + frame(65500, 65500, 0xC0) + marker(0xDA, b"\1\1\0\0\x3f\0") + b"\xff\xd9"
    check("big.jpg", big, "65500 x 65500 pixels; 1 to 16384 a side are read")
    check(
        "large.jpg",
        big.replace(struct.pack(">HH", 65500, 65500), struct.pack(">HH", 9000, 9000)),
        "9000 x 9000 pixels are more than the 64000000 of --max-pixels",
    )
    check(
        "none.jpg",
        big.replace(struct.pack(">HH", 65500, 65500), b"\0\0\0\0"),
        "damaged or truncated JPEG, byte ",
    )
    check(
        "progressive.jpg",
        progressive(7992, 7992, [(0, 0, 0, 0)]),
        "a JPEG of many scans takes 121.8 MiB of memory",
        "size=8",
    )
    bits = [(k, k, 0, 3) for k in range(1, 64)]
    bits += [(k, k, high, high - 1) for high in (3, 2, 1) for k in range(1, 64)]
    accept("scans.jpg", progressive(8, 8, [(0, 0, 0, 0)] + bits[:199]))
    check("scans.jpg", progressive(8, 8, [(0, 0, 0, 0)] + bits), "more than 200 scans")
    check("cut.jpg", jpeg(2, 2, [[7] * 4])[:60], "damaged or truncated JPEG, byte ")
    check(
        "parts.jpg",
        b"\xff\xd8" + frame(8, 8, 0xC0, 2) + marker(0xDA, b"\2\1\0\2\0\0\x3f\0"),
        "a JPEG of 2 components",
    )


def webps():
    for name, data, text in (
        (
            "cut.webp",
            b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff\x2f",
            "damaged or truncated WebP",
        ),
        ("none.webp", b"RIFF\x04\0\0\0WEBP", "damaged or truncated WebP"),
        # 16384 x 16384
        (
            "large.webp",
            b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f" + bytes(9),
            "16384 x 16384 pixels are more than the 64000000 of --max-pixels",
        ),
    ):
        write(name, data)
        said, _ = peak("--", name)
        check(name, data, "no libwebp" if "no libwebp" in said else text)


# ---- records -------------------------------------------------------------------------------------


def idx(count, height, width, data=b""):
    return struct.pack(">IIII", 0x803, count, height, width) + data


def records():
    many = 0xFFFFFFFF
    check(
        "count.idx", idx(many, 2, 2, bytes(8)), "truncated: 24 bytes where 4294967295 images need"
    )
    check("sides.idx", idx(1, many, many), "images of 4294967295 x 4294967295 in bytes 8 to 15")
    check(
        "wide.idx",
        idx(1, 4096, 4096),
        "4096 x 4096 pixels are more than the 1000000",
        "max-pixels=1000000",
    )
    check("sample.idx", idx(1, 4096, 4096), "a sample takes 64.0 MiB of memory")
    check("none.idx", idx(0, 2, 2), "no images: the count at byte 4 is 0")
    check("flat.idx", idx(1, 0, 2), "images of 2 x 0 in bytes 8 to 15")
    check("more.idx", idx(1, 2, 2, bytes(5)), "1 bytes too many after byte 20")
    check("short.idx", idx(1, 2, 2)[:10], "not an IDX file of images", "format=mnist")
    check("cut.cifar", bytes(3000), "not a whole number of records of 3073 bytes", "format=cifar10")
    check(
        "label.cifar",
        b"\xff" * 3073,
        "byte 0: label 255 of record 0 is not 0 to 9",
        "format=cifar10",
    )
    check("cut.cifar100", bytes(3073), "of 3074 bytes", "format=cifar100")
    check("cut.raw", bytes(100), "100 bytes, where a record has 192", "format=raw:3x8x8")
    check("part.raw", bytes(200), "not a whole number of records of 192", "format=raw:3x8x8")
    check("large.raw", bytes(100), "--max-pixels", "format=raw:64x16384x16384")
    check("many.raw", bytes(100), "a sample takes 244.1 MiB", "format=raw:64x1000x1000")


# ---- compressed ----------------------------------------------------------------------------------


def compressed():
    if not have_zlib():
        return
    zeros = packed(200 * MIB, wbits=31)
    check("zeros.gz", zeros, "what it unpacks to takes 199.9 MiB of memory")
    check("liar.gz", zeros[:-4] + b"\5\0\0\0", "what it unpacks to takes 16.0 MiB of memory")
    check("cut.gz", zeros[:1000], "truncated or damaged gzip data after")
    check("header.gz", b"\x1f\x8b\x08", "gzip data after 0 unpacked bytes")
    check("garbage.gz", b"\x1f\x8b\x08\0" + bytes(range(250)), "truncated or damaged gzip data")
    check("twice.gz", gzip.compress(gzip.compress(b"1,2\n")), "cannot tell what this file holds")
    check("zeros.idx.gz", gzip.compress(idx(0xFFFFFFFF, 2000, 2000)) + zeros, "what it unpacks to")
    # No further than it is wanted: 10 of 3 million images.
    data = gzip.compress(idx(3 * MIB, 8, 8)[:16]) + packed(192 * MIB, wbits=31)
    write("many.idx.gz", data)
    said, most = peak("limit=10", "max-memory=16", "--", "many.idx.gz")
    expect(f"the first of many: {said[:200]}", '"count": 10' in said)
    expect(f"the first of many: {most / MIB:.1f} MiB", most < base + SLACK)
    # Several files share the limit.
    write("half.npy.gz", gzip.compress(npy("|u1", (9 * MIB, 1, 1), bytes(9 * MIB))))
    said, _ = peak("max-memory=16", "once=1", "limit=1", "--", "half.npy.gz")
    expect(f"one of two: {said[:200]}", '"count": 1' in said)
    said, _ = peak("max-memory=16", "once=1", "--", "half.npy.gz", "half.npy.gz")
    expect(f"two of two: {said[:200]}", "beside 9.0 in use; --max-memory allows 16" in said)


# ---- arrays --------------------------------------------------------------------------------------


def npys():
    big = 2**62
    for name, shape, text in (
        ("overflow", (big, 8, 8), "its size does not fit 64 bits"),
        ("huge", (2**40, 2, 2), "is truncated: it has 16 bytes of data, but its shape needs"),
        ("negative", (-4, 2, 2), "has no NumPy header that can be read"),
        ("none", (0, 2, 2), "holds no samples"),
        ("flat", (4, 0, 2), "dimension 1 is 0; a sample has 1 to"),
        ("empty", (2**62, 0, 2**40), "dimension 1 is 0; a sample has 1 to"),
        ("single", (), "is a single number"),
        ("deep", (1,) * 9, "has no NumPy header that can be read"),
        ("beyond", (2**63, 1), "is truncated: it has 16 bytes of data"),
        ("wide", (1, 1, 2**20), "is truncated: it has 16 bytes of data"),
    ):
        check(f"{name}.npy", npy("|u1", shape, bytes(16)), text)
    wide = npy("|u1", (1, 1, 20000), bytes(20000))
    check("side.npy", wide, "images of 1 x 20000 x 1; at most 16384 are read")
    whole = npy("<f4", (2, 2), bytes(16))
    check("cut.npy", whole[:-1], "15 bytes of data, but its shape needs 16", "vectors=1")
    check("header.npy", whole[:30], "a header of", "vectors=1")
    check("start.npy", whole[:9], "is truncated", "vectors=1")
    check(
        "length.npy",
        b"\x93NUMPY\2\0\xff\xff\xff\xff" + whole[10:],
        "a header of 4294967295 bytes",
        "vectors=1",
    )
    check(
        "version.npy",
        whole[:6] + b"\x09" + whole[7:],
        "not a NumPy array of version 1 to 3",
        "vectors=1",
    )
    # A file with a hole may be as large as it likes; what it holds is not read into memory.
    with open("hole.npy", "wb") as file:
        file.write(npy("|u1", (1, 2**30), b""))
        file.truncate(2**30 + 200)
    said, most = peak("vectors=1", "max-memory=16", "--", "hole.npy")
    expect(f"hole.npy: {said[:200]}", "takes" in said and "--max-memory" in said)
    expect(f"hole.npy: {most / MIB:.1f} MiB", most < base + SLACK)


def zip_of(**arrays):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in arrays.items():
            file.writestr(name + ".npy", data)
    return bytearray(out.getvalue())


def npzs():
    if not have_zlib():
        return

    def entry(data):
        return data.rindex(b"PK\1\2")

    def end(data):
        return data.rindex(b"PK\5\6")

    bomb = zip_of(x=npy("|u1", (100 * MIB, 1, 1), bytes(100 * MIB)))
    check("bomb.npz", bytes(bomb), "x.npy takes 100.0 MiB of memory")
    one = zip_of(x=npy("|u1", (1, 2, 2), bytes(4)))
    for name, place, text in (
        ("size", entry(one) + 24, "is damaged"),
        ("packed", entry(one) + 20, "is truncated or damaged"),
        ("local", entry(one) + 42, "truncated: it ends at byte"),
        ("directory", end(one) + 16, "truncated: it ends at byte"),
        ("names", entry(one) + 26, "truncated"),
    ):
        data = bytearray(one)
        data[place : place + 4] = b"\xfe\xff\xff\xff"
        check(f"{name}.npz", bytes(data), text)
    wide = bytearray(one)
    at = end(one)
    wide[at + 8 : at + 20] = b"\xff" * 12
    record = b"PK\6\6" + struct.pack(
        "<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**63, 2**63, 0, 2**63 - 8
    )
    place = struct.pack("<IQI", 0, at, 1)
    check("wide.npz", bytes(wide[:at] + record + b"PK\6\7" + place + wide[at:]), "truncated")
    place = struct.pack("<IQI", 0, 2**64 - 1, 1)
    check("record.npz", bytes(wide[:at] + record + b"PK\6\7" + place + wide[at:]), "truncated")
    check("cut.npz", bytes(one[:-10]), "no directory at the end of the archive")
    check("nothing.npz", b"PK\5\6" + bytes(18), "there is nothing in the archive")


def tensors(header_text, length=None, data=b""):
    text = header_text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def safetensors():
    x = '{"x": {"dtype": "%s", "shape": %s, "data_offsets": [0, %d]}}'
    for name, data in (
        ("length", tensors(x % ("F32", "[1, 4]", 16), 2**31)),
        (
            "overflow",
            tensors(x % ("F32", "[4611686018427387904, 4611686018427387904]", 16), data=bytes(16)),
        ),
        ("negative", tensors(x % ("F32", "[-1, 4]", 16), data=bytes(16))),
        ("cut", tensors(x % ("F32", "[1, 4]", 16), data=bytes(15))),
        ("beyond", tensors(x % ("F32", "[1, 4611686018427387]", 2**60), data=bytes(16))),
        ("deep", tensors("[" * 100000)),
    ):
        check(f"{name}.safetensors", data, name, "format=safetensors", "vectors=1")
    check(
        "none.safetensors",
        tensors(x % ("F32", "[0, 4]", 0)),
        "holds no samples",
        "format=safetensors",
        "vectors=1",
    )


# ---- tables --------------------------------------------------------------------------------------


def tables():
    check("columns.csv", b"," * (2 * MIB) + b"\n", "a list of its columns takes", "vectors=1")
    check("row.csv", b"1" * (20 * MIB) + b"\n", "a row takes 20.0 MiB", "vectors=1")
    check("rows.csv", b"1\n" * (2 * MIB), "a list of its rows takes", "vectors=1")
    check("quote.csv", b'"1,2\n' * 3, "a quote is opened and never closed", "vectors=1")
    check("ragged.csv", b"1,2\n1\n", "row 1 has 1 fields where the first has 2", "vectors=1")
    check("blank.csv", b" \n\n", "no rows", "vectors=1", "format=csv")
    check("zero.csv", b"1,2\n3,\0\n", "cannot tell what this file holds", "vectors=1")
    check("zero.csv", b"1,2\n3,4\0,\n", "byte 7, in row 1, is zero", "vectors=1", "format=csv")
    check("numbers.csv", b"1,2\n3,1e999\n", "not finite", "vectors=1")


def labels():
    write("images.idx", idx(2, 2, 2, bytes(8)))
    for name, data, text in (
        (
            "count.labels",
            struct.pack(">II", 0x801, 0xFFFFFFFF) + b"\1\2",
            "10 bytes where 4294967295",
        ),
        ("short.labels", struct.pack(">I", 0x801) + b"\0", "no labels"),
        ("many.npy", npy("<i8", (2**40,), bytes(16)), "is truncated"),
    ):
        write(name, data)
        said, most = peak(f"labels={name}", "--", "images.idx")
        expect(f"{name}: says '{said[:300]}', not '{text}'", name in said and text in said)
        expect(f"{name}: {most / MIB:.1f} MiB", most < base + SLACK)


def options():
    """The same through the program: exit code 2, and the options that say how much is allowed."""
    write("large.png", png_of(header(9000, 9000), packed(9000 * 9001)))
    train = [
        tool,
        "train",
        "--levels",
        "1",
        "--depth",
        "1",
        "--hidden",
        "8",
        "--batch",
        "1",
        "--steps",
        "1",
        "--no-checkpoints",
        "--size",
        "8",
        "--out",
        "trained",
        "--data",
        "large.png",
    ]
    done = subprocess.run(train, capture_output=True, text=True)
    expect(
        f"train refuses it: {done.returncode} {done.stderr}",
        done.returncode == 2 and "of --max-pixels" in done.stderr,
    )
    done = subprocess.run(
        train + ["--max-pixels", "81000000", "--max-memory", "16"], capture_output=True, text=True
    )
    expect(f"train takes it: {done.returncode} {done.stderr}", done.returncode == 0)


def start():
    global base
    write("one.png", png(1, 1, 8, 0, [[7]]))
    base = 0
    _, base = peak("--", "one.png")


if __name__ == "__main__":
    sys.exit(
        run_all(
            [
                start,
                pngs,
                jpegs,
                webps,
                records,
                compressed,
                npys,
                npzs,
                safetensors,
                tables,
                labels,
                options,
            ]
        )
    )
