"""Safetensors files for the tests of glowtool, with the standard library alone.
SPDX-License-Identifier: MIT
"""
import array
import json
import struct
import sys

CODES = {"U8": "B", "I32": "i", "F32": "f", "F64": "d", "I64": "q"}


def in_file_order(values):
    """An array of the machine's order in the files', which are little-endian, and back."""
    if sys.byteorder == "big":
        values.byteswap()
    return values


def write(path, metadata=None, **tensors):
    """tensors: name = (dtype, shape, elements or bytes)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, values) in tensors.items():
        raw = values
        if not isinstance(values, bytes):
            raw = in_file_order(array.array(CODES[dtype], values)).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read(path):
    """{name: (dtype, shape, elements)}, and the metadata."""
    with open(path, "rb") as file:
        raw = file.read()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = array.array(CODES[entry["dtype"]], raw[8 + length + begin : 8 + length + end])
        tensors[name] = (entry["dtype"], entry["shape"], in_file_order(values))
    return tensors, metadata
