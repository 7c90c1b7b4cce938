"""PNG, JPEG and lossless WebP, byte by byte, with nothing but the standard library: PNG of every
kind (ISO 15948), JPEG whose blocks have one value each, so that nothing is lost (ITU-T T.81), and
WebP with at most two values of green (the specification of WebP's lossless bitstream).
SPDX-License-Identifier: MIT
"""

import struct
import zlib

# ---- PNG -----------------------------------------------------------------------------------------

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the type of colour


def chunk(kind, data, crc=None):
    sum_ = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", sum_)


def pack_row(values, depth):
    if depth == 16:
        return struct.pack(">%dH" % len(values), *values)
    if depth == 8:
        return bytes(values)
    bits = "".join(format(v, "0%db" % depth) for v in values)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(row, before, kind, step):
    """The bytes of a row behind filter `kind`, `step` bytes a pixel."""
    out = []
    for i, x in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = before[i]
        c = before[i - step] if i >= step else 0
        out.append((x - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) & 255)
    return bytes([kind]) + bytes(out)


def scanlines(rows, depth, samples, filters=(0,)):
    step = max(1, depth * samples // 8)
    before, out = None, b""
    for i, values in enumerate(rows):
        row = pack_row(values, depth)
        out += filtered(row, before or bytes(len(row)), filters[i % len(filters)], step)
        before = row
    return out


def png(
    width,
    height,
    depth,
    colour,
    rows,
    extra=b"",
    interlaced=False,
    filters=(0,),
    data=None,
    end=chunk(b"IEND", b""),
):
    """rows: [height][width * samples]. extra: chunks between the header and the pixels."""
    n = SAMPLES[colour]
    if interlaced:
        raw = b""
        for x0, y0, dx, dy in ADAM7:
            part = [
                [v for x in range(x0, width, dx) for v in row[x * n : x * n + n]]
                for row in rows[y0::dy]
            ]
            if part and part[0]:
                raw += scanlines(part, depth, n)
    else:
        raw = scanlines(rows, depth, n, filters)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        SIGNATURE
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(raw) if data is None else data)
        + end
    )


# ---- JPEG ----------------------------------------------------------------------------------------


def marker(code, data):
    return bytes([0xFF, code]) + struct.pack(">H", len(data) + 2) + data


class Bits:
    def __init__(self):
        self.text = ""

    def put(self, value, length):
        self.text += format(value, "0%db" % length) if length else ""

    def done(self):
        text = self.text + "1" * (-len(self.text) % 8)
        data = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
        return data.replace(b"\xff", b"\xff\0")


def dc_bits(difference):
    size = abs(difference).bit_length()
    return size, difference if difference >= 0 else difference + (1 << size) - 1


def jpeg(
    columns,
    rows,
    planes,
    application=b"",
    precision=8,
    before_end=b"",
    behind=b"",
    in_front=b"",
    start=0xC0,
):
    """planes: values [rows * columns] of each component, 8 x 8 pixels each."""
    count = len(planes)
    frame = struct.pack(">BHHB", precision, rows * 8, columns * 8, count)
    frame += b"".join(bytes([i + 1, 0x11, 0]) for i in range(count))
    # Codes of sizes 0 to 11, 4 bits each, and of one symbol: the end of the block.
    dc = b"\0" + bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12))
    ac = b"\x10" + bytes([1] + [0] * 15) + b"\0"
    scan = bytes([count]) + b"".join(bytes([i + 1, 0]) for i in range(count)) + b"\0\x3f\0"
    bits, last = Bits(), [0] * count
    for block in range(columns * rows):
        for k, plane in enumerate(planes):
            value = (plane[block] - 128) * 8
            size, code = dc_bits(value - last[k])
            last[k] = value
            bits.put(size, 4)
            bits.put(code, size)
            bits.put(0, 1)
    return (
        b"\xff\xd8"
        + application
        + in_front
        + marker(0xDB, b"\0" + b"\1" * 64)
        + marker(start, frame)
        + marker(0xC4, dc)
        + marker(0xC4, ac)
        + marker(0xDA, scan)
        + bits.done()
        + before_end
        + b"\xff\xd9"
        + behind
    )


def jfif(major=1):
    return marker(0xE0, b"JFIF\0" + bytes([major, 1, 0, 0, 1, 0, 1, 0, 0]))


def adobe(transform):
    return marker(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def tiff(orientation, big):
    order, mark = (">", b"MM\0*") if big else ("<", b"II*\0")
    return (
        mark
        + struct.pack(order + "IH", 8, 2)
        + struct.pack(order + "HHIHH", 0x100, 3, 1, 5, 0)
        + struct.pack(order + "HHIHH", 0x112, 3, 1, orientation, 0)
        + struct.pack(order + "I", 0)
    )


def exif(orientation, big=False):
    return marker(0xE1, b"Exif\0\0" + tiff(orientation, big))


def oriented(orientation, grid):
    """rows of values as they are to be seen: EXIF 2.3, tag 274."""
    turn = {
        1: lambda g: g,
        2: lambda g: [row[::-1] for row in g],
        3: lambda g: [row[::-1] for row in g[::-1]],
        4: lambda g: g[::-1],
        5: lambda g: [list(c) for c in zip(*g)],
        6: lambda g: [list(c) for c in zip(*g[::-1])],
        7: lambda g: [list(c)[::-1] for c in zip(*g)][::-1],
        8: lambda g: [list(c) for c in zip(*g)][::-1],
    }
    return turn[orientation](grid)


# ---- WebP ----------------------------------------------------------------------------------------


class LowBits:
    """Bits from the lowest on, as VP8L has them."""

    def __init__(self):
        self.value = self.length = 0

    def put(self, value, length):
        self.value |= value << self.length
        self.length += length

    def done(self):
        return self.value.to_bytes((self.length + 7) // 8, "little")


def vp8l(width, height, greens, red, blue, alpha):
    """greens: [height * width], of at most two values. Prefix codes of one or two symbols each."""
    bits, known = LowBits(), sorted(set(greens))
    bits.put(0x2F, 8)
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(alpha != 255, 1)
    bits.put(0, 3 + 1 + 1 + 1)  # version; no transforms, no cache of colours, one group of codes
    for symbols in (known, [red], [blue], [alpha]):
        bits.put(1, 1)
        bits.put(len(symbols) - 1, 1)
        bits.put(1, 1)
        for symbol in symbols:
            bits.put(symbol, 8)
    bits.put(0b0001, 4)  # distances: one symbol, 0
    for green in greens:
        bits.put(known.index(green), len(known) - 1)
    return bits.done()


def riff(*chunks):
    body = b"WEBP"
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(flags, width, height):
    return (
        b"VP8X",
        bytes([flags, 0, 0, 0])
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3],
    )
