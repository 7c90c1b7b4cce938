"""Pictures as people have them: every kind of PNG, JPEG and WebP that glowtool reads, and those
that it refuses, each with the pixels or the message that it must give. The files are made by
image_bytes.py; the checker reads them with the tool's own reader:

    python3 odd_images.py CHECKER [FOLDER]

SPDX-License-Identifier: MIT
"""

import os
import struct
import subprocess
import sys
import tempfile
import zlib

from image_bytes import adobe, chunk, exif, jfif, jpeg, marker, oriented, png, riff, tiff, vp8l
from image_bytes import vp8x

cases = []  # name, bytes, (width, height, channels, pixels) or a message, format that reads it


def case(name, data, expected, part=""):
    cases.append((name, data, expected, part))


# ---- PNG -----------------------------------------------------------------------------------------


def flat(rows):
    return [v for row in rows for v in row]


def ramp(width, height, samples, most, step=1):
    return [
        [(y * width * samples + i) * step % (most + 1) for i in range(width * samples)]
        for y in range(height)
    ]


def over(value, alpha, most, background=255):
    """A value over a background, in the file's own values, as 8 bits."""
    exact = alpha * value * 255 + (most - alpha) * background * most
    return (2 * exact + most * most) // (2 * most * most)


def grey_pngs():
    for depth in (1, 2, 4):
        most = (1 << depth) - 1
        rows = ramp(5, 3, 1, most)
        case(
            "grey%d.png" % depth,
            png(5, 3, depth, 0, rows),
            (5, 3, 1, [v * 255 // most for v in flat(rows)]),
        )
    rows = ramp(16, 16, 1, 255)
    case("grey8.png", png(16, 16, 8, 0, rows), (16, 16, 1, flat(rows)))
    wide = [[v * 257 for v in row] for row in rows]
    case("grey16.png", png(16, 16, 16, 0, wide), (16, 16, 1, flat(rows)))
    odd = ramp(7, 9, 1, 65535, 1037)
    case(
        "grey16-rounds.png",
        png(7, 9, 16, 0, odd),
        (7, 9, 1, [(2 * v * 255 + 65535) // 131070 for v in flat(odd)]),
    )
    case("one-pixel.png", png(1, 1, 8, 0, [[77]]), (1, 1, 1, [77]))
    case("one-row.png", png(9, 1, 8, 0, ramp(9, 1, 1, 255)), (9, 1, 1, list(range(9))))
    filters = ramp(9, 10, 1, 255, 37)
    case(
        "filters.png", png(9, 10, 8, 0, filters, filters=(1, 2, 3, 4, 0)), (9, 10, 1, flat(filters))
    )


def colour_pngs():
    rows = ramp(4, 5, 3, 255, 4)
    case("rgb8.png", png(4, 5, 8, 2, rows), (4, 5, 3, flat(rows)))
    wide = [[v * 257 for v in row] for row in rows]
    case("rgb16.png", png(4, 5, 16, 2, wide), (4, 5, 3, flat(rows)))
    case("rgb-filters.png", png(4, 5, 8, 2, rows, filters=(4, 3, 2, 1)), (4, 5, 3, flat(rows)))
    colours = [(200, 10, 30), (0, 255, 7), (90, 91, 92), (255, 255, 255)]
    table = chunk(b"PLTE", bytes(v for c in colours for v in c))
    for depth in (1, 2, 4, 8):
        indices = ramp(5, 3, 1, 1 if depth == 1 else 3)
        case(
            "palette%d.png" % depth,
            png(5, 3, depth, 3, indices, table),
            (5, 3, 3, [v for i in flat(indices) for v in colours[i]]),
        )
    alphas = [255, 0, 128]
    indices = ramp(4, 4, 1, 3)
    case(
        "palette-transparent.png",
        png(4, 4, 8, 3, indices, table + chunk(b"tRNS", bytes(alphas))),
        (4, 4, 3, [over(v, (alphas + [255])[i], 255) for i in flat(indices) for v in colours[i]]),
    )


def transparent_pngs():
    rows = ramp(4, 4, 1, 255, 16)
    case(
        "grey-key.png",
        png(4, 4, 8, 0, rows, chunk(b"tRNS", struct.pack(">H", 32))),
        (4, 4, 1, [255 if v == 32 else v for v in flat(rows)]),
    )
    wide = [[v * 257 for v in row] for row in rows]
    case(
        "grey16-key.png",
        png(4, 4, 16, 0, wide, chunk(b"tRNS", struct.pack(">H", 32 * 257))),
        (4, 4, 1, [255 if v == 32 else v for v in flat(rows)]),
    )
    pixels = [[10, 20, 30, 40, 50, 60]]
    case(
        "rgb-key.png",
        png(2, 1, 8, 2, pixels, chunk(b"tRNS", struct.pack(">HHH", 10, 20, 30))),
        (2, 1, 3, [255, 255, 255, 40, 50, 60]),
    )
    pairs = [[v for x in range(8) for v in (30 * x, 36 * x + 3)] for _ in range(2)]
    case(
        "grey-alpha8.png",
        png(8, 2, 8, 4, pairs),
        (8, 2, 1, [over(30 * x, 36 * x + 3, 255) for _ in range(2) for x in range(8)]),
    )
    wide = [[v * 257 for v in row] for row in pairs]
    case(
        "grey-alpha16.png",
        png(8, 2, 16, 4, wide),
        (8, 2, 1, [over(30 * x, 36 * x + 3, 255) for _ in range(2) for x in range(8)]),
    )
    rgba = [[200, 100, 0, 128, 200, 100, 0, 0, 200, 100, 0, 255, 3, 5, 7, 1]]
    expected = [over(v, rgba[0][i + 3], 255) for i in range(0, 16, 4) for v in rgba[0][i : i + 3]]
    case("rgba8.png", png(4, 1, 8, 6, rgba), (4, 1, 3, expected))
    case(
        "rgba8-on-red.png",
        png(4, 1, 8, 6, rgba),
        (
            4,
            1,
            3,
            [
                over(v, rgba[0][i + 3], 255, b)
                for i in range(0, 16, 4)
                for v, b in zip(rgba[0][i : i + 3], (255, 0, 0))
            ],
        ),
        "background=255,0,0",
    )
    odd = [[40000, 12345, 3, 50000]]
    case(
        "rgba16.png", png(1, 1, 16, 6, odd), (1, 1, 3, [over(v, 50000, 65535) for v in odd[0][:3]])
    )
    case(
        "bkgd.png",
        png(4, 1, 8, 6, rgba, chunk(b"bKGD", struct.pack(">HHH", 1, 2, 3))),
        (4, 1, 3, expected),
    )


def interlaced_pngs():
    grey, colour = ramp(11, 9, 1, 255, 2), ramp(5, 7, 3, 255, 2)
    case("interlaced-grey.png", png(11, 9, 8, 0, grey, interlaced=True), (11, 9, 1, flat(grey)))
    case("interlaced-rgb.png", png(5, 7, 8, 2, colour, interlaced=True), (5, 7, 3, flat(colour)))
    bits = ramp(9, 9, 1, 1)
    case(
        "interlaced-1-bit.png",
        png(9, 9, 1, 0, bits, interlaced=True),
        (9, 9, 1, [255 * v for v in flat(bits)]),
    )
    case("interlaced-one-pixel.png", png(1, 1, 16, 0, [[257 * 9]], interlaced=True), (1, 1, 1, [9]))


def chunks_of_colour():
    rows = ramp(16, 16, 1, 255)
    expected = (16, 16, 1, flat(rows))
    for name, kind, data in (
        ("gamma-srgb", b"gAMA", struct.pack(">I", 45455)),
        ("gamma-linear", b"gAMA", struct.pack(">I", 100000)),
        ("srgb", b"sRGB", b"\0"),
        (
            "chromaticities",
            b"cHRM",
            struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
        ),
        ("profile-broken", b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
        ("significant-bits", b"sBIT", b"\3"),
        ("time", b"tIME", b"\7\xe8\1\1\0\0\0"),
    ):
        case(name + ".png", png(16, 16, 8, 0, rows, chunk(kind, data)), expected)
    wide = [[v * 257 for v in row] for row in rows]
    case(
        "gamma-16-bits.png",
        png(16, 16, 16, 0, wide, chunk(b"gAMA", struct.pack(">I", 100000))),
        expected,
    )
    case("text-with-wrong-sum.png", png(16, 16, 8, 0, rows, chunk(b"tEXt", b"a\0b", 7)), expected)


def wrong_pngs():
    rows = ramp(16, 16, 1, 255, 37)
    good = png(16, 16, 8, 0, rows)
    case("cut-in-pixels.png", good[:-40], "damaged or truncated PNG")
    case("no-end.png", png(16, 16, 8, 0, rows, end=b""), "damaged or truncated PNG")
    case("header-alone.png", good[:40], "damaged or truncated PNG")
    case("signature-alone.png", good[:8], "damaged or truncated PNG")
    case("wrong-sum.png", good.replace(b"IEND", b"IENE"), "damaged or truncated PNG")
    case(
        "too-few-pixels.png",
        png(16, 16, 8, 0, rows, data=zlib.compress(b"\0" * 30)),
        "damaged or truncated PNG",
    )
    case("no-palette.png", png(4, 4, 8, 3, ramp(4, 4, 1, 3)), "damaged or truncated PNG")
    case("huge.png", png(100000, 100000, 8, 0, [[0]]), "100000 x 100000 pixels; 1 to 16384")
    case("no-width.png", png(0, 4, 8, 0, [[0]]), "damaged or truncated PNG")
    case(
        "depth-3.png",
        png(4, 4, 8, 0, ramp(4, 4, 1, 3)).replace(b"\4\x08\0\0\0\0", b"\4\3\0\0\0\0"),
        "damaged or truncated PNG",
    )


# ---- JPEG: blocks of one value each, so that nothing is lost -------------------------------------


def blocks(columns, rows, values, side=8):
    """Pixels of blocks, one value, or one tuple, each."""
    out = []
    for y in range(rows * side):
        for x in range(columns * side):
            value = values[y // side * columns + x // side]
            out += value if isinstance(value, tuple) else [value]
    return out


VALUES = [10, 60, 110, 160, 210, 250]


def turned(name, make):
    for orientation in range(1, 9):
        grid = oriented(orientation, [VALUES[:3], VALUES[3:]])
        side = [v for row in grid for v in row]
        case(
            name % orientation,
            make(orientation),
            (len(grid[0]) * 8, len(grid) * 8, 1, blocks(len(grid[0]), len(grid), side)),
        )


def jpegs():
    grey = (24, 16, 1, blocks(3, 2, VALUES))
    case("grey.jpg", jpeg(3, 2, [VALUES], jfif()), grey)
    case("name-lies.png", jpeg(3, 2, [VALUES], jfif()), grey)
    case("no-name", jpeg(3, 2, [VALUES]), grey)
    # ITU-T T.871: R = Y + 1.402 (Cr - 128), ...
    case(
        "ycc.jpg",
        jpeg(1, 1, [[100], [150], [90]], jfif()),
        (8, 8, 3, blocks(1, 1, [(47, 120, 139)])),
    )
    case(
        "rgb.jpg",
        jpeg(1, 1, [[100], [150], [90]], adobe(0)),
        (8, 8, 3, blocks(1, 1, [(100, 150, 90)])),
    )
    ink = [[200], [100], [50], [128]]
    light = tuple((v[0] * 128 + 127) // 255 for v in ink[:3])
    case("cmyk-adobe.jpg", jpeg(1, 1, ink, adobe(0)), (8, 8, 3, blocks(1, 1, [light])))
    plain = tuple(((255 - v[0]) * (255 - 128) + 127) // 255 for v in ink[:3])
    case("cmyk-plain.jpg", jpeg(1, 1, ink), (8, 8, 3, blocks(1, 1, [plain])))
    ycck = tuple(((255 - v) * 128 + 127) // 255 for v in (47, 120, 139))
    case(
        "ycck-adobe.jpg",
        jpeg(1, 1, [[100], [150], [90], [128]], adobe(2)),
        (8, 8, 3, blocks(1, 1, [ycck])),
    )
    turned("turned-%d.jpg", lambda o: jpeg(3, 2, [VALUES], exif(o)))
    turned("turned-big-endian-%d.jpg", lambda o: jpeg(3, 2, [VALUES], exif(o, True)))
    case(
        "exif-broken.jpg",
        jpeg(3, 2, [VALUES], marker(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f")),
        grey,
    )
    case("exif-orientation-9.jpg", jpeg(3, 2, [VALUES], exif(9)), grey)
    case("padding.jpg", jpeg(3, 2, [VALUES], jfif(), before_end=bytes(8)), grey)
    case("jfif-2.jpg", jpeg(3, 2, [VALUES], jfif(2)), grey)
    case("behind-the-end.jpg", jpeg(3, 2, [VALUES], jfif(), behind=b"trailer" * 9), grey)
    case("between-segments.jpg", jpeg(3, 2, [VALUES], jfif(), in_front=b"\0\1\2"), grey)
    case(
        "adobe-unknown.jpg",
        jpeg(1, 1, [[100], [150], [90]], adobe(9)),
        (8, 8, 3, blocks(1, 1, [(47, 120, 139)])),
    )


def wrong_jpegs():
    good = jpeg(3, 2, [VALUES], jfif())
    case("cut.jpg", good[:-6], "damaged or truncated JPEG")
    case("no-end.jpg", good[:-2], "damaged or truncated JPEG")
    case("start-alone.jpg", good[:4], "damaged or truncated JPEG")
    case("two-components.jpg", jpeg(1, 1, [[100], [150]]), "a JPEG of 2 components")
    case("12-bits.jpg", jpeg(1, 1, [[100]], precision=12), "damaged or truncated JPEG")
    case("arithmetic-lossless.jpg", jpeg(1, 1, [[100]], start=0xC3), "damaged or truncated JPEG")


# ---- WebP: lossless, with one or two values of green ---------------------------------------------


def webps():
    greens = [20, 90, 90, 20, 20, 90]
    image = (b"VP8L", vp8l(3, 2, greens, 7, 200, 255))
    pixels = [v for g in greens for v in (7, g, 200)]
    case("lossless.webp", riff(image), (3, 2, 3, pixels), "webp")
    half = (b"VP8L", vp8l(3, 2, greens, 7, 200, 100))
    case("transparent.webp", riff(half), (3, 2, 3, [over(v, 100, 255) for v in pixels]), "webp")
    case(
        "turned.webp",
        riff(vp8x(8, 3, 2), image, (b"EXIF", tiff(6, False))),
        (
            2,
            3,
            3,
            [v for row in oriented(6, [greens[:3], greens[3:]]) for g in row for v in (7, g, 200)],
        ),
        "webp",
    )
    case("cut.webp", riff(image)[:24], "damaged or truncated WebP", "webp")
    frame = bytes(16) + b"VP8L" + struct.pack("<I", len(image[1])) + image[1]
    case(
        "animated.webp",
        riff(vp8x(2, 3, 2), (b"ANIM", bytes(6)), (b"ANMF", frame)),
        "an animated WebP; still images are read",
        "webp",
    )
    case("no-library.webp", riff(image), "a WebP image, and this build has no libwebp", "no-webp")


# ---- others --------------------------------------------------------------------------------------


def others():
    rows = ramp(16, 16, 1, 255)
    case(
        "turned.png",
        png(16, 16, 8, 0, rows, chunk(b"eXIf", tiff(6, True))),
        (16, 16, 1, flat(oriented(6, rows))),
    )
    case("png-called.jpg", png(16, 16, 8, 0, rows), (16, 16, 1, flat(rows)))
    for name, data, text in (
        ("empty.png", b"", "the file is empty"),
        ("text.png", b"hello", "not a PNG, JPEG or WebP image"),
        ("gif.png", b"GIF89a" + bytes(20), "not a PNG, JPEG or WebP image"),
        ("bmp.jpg", b"BM" + bytes(60), "not a PNG, JPEG or WebP image"),
        ("tiff.jpg", b"II*\0" + bytes(20), "not a PNG, JPEG or WebP image"),
        ("page.jpg", b"<!doctype html><title>404</title>", "not a PNG, JPEG or WebP image"),
    ):
        case(name, data, text)
    kinds = (
        ("gif", b"GIF89a" + bytes(20), "a GIF image; PNG, JPEG"),
        ("bmp", b"BM" + bytes(60), "a BMP image; PNG, JPEG"),
        ("tiff", b"MM\0*" + bytes(20), "a TIFF image; PNG, JPEG"),
        ("heic", b"\0\0\0\x18ftypheic" + bytes(20), "an HEIC image; PNG, JPEG"),
        ("avif", b"\0\0\0\x18ftypavif" + bytes(20), "an AVIF image; PNG, JPEG"),
        ("jxl", b"\xff\x0a" + bytes(20), "a JPEG XL image; PNG, JPEG"),
        ("psd", b"8BPS" + bytes(20), "a Photoshop document; PNG, JPEG"),
        ("pdf", b"%PDF-1.4" + bytes(20), "a PDF document; PNG, JPEG"),
        ("pickle", b"\x80\2}q\0" + bytes(20), "a Python pickle, which is not read"),
        ("tar", bytes(257) + b"ustar" + bytes(250), "a tar archive: unpack it"),
        ("noise", bytes(range(200, 256)) * 3, "cannot tell what this file holds"),
    )
    for name, data, text in kinds:
        case("kind-" + name, data, text, "auto")


def main(arguments):
    checker, folder = arguments[0], arguments[1:]
    for make in (
        grey_pngs,
        colour_pngs,
        transparent_pngs,
        interlaced_pngs,
        chunks_of_colour,
        wrong_pngs,
        jpegs,
        wrong_jpegs,
        webps,
        others,
    ):
        make()
    assert len({c[0] for c in cases}) == len(cases)
    with tempfile.TemporaryDirectory() as temporary:
        place = folder[0] if folder else temporary
        with open(os.path.join(place, "expected.txt"), "w") as expected:
            for name, data, wanted, part in cases:
                with open(os.path.join(place, name), "wb") as file:
                    file.write(data)
                if isinstance(wanted, str):
                    print(name, part or "-", "refused", wanted, file=expected)
                else:
                    width, height, channels, pixels = wanted
                    assert len(pixels) == width * height * channels, name
                    print(
                        name,
                        part or "-",
                        "pixels",
                        width,
                        height,
                        channels,
                        bytes(pixels).hex(),
                        file=expected,
                    )
        return subprocess.call([checker, place, str(len(cases))])


sys.exit(main(sys.argv[1:]))
