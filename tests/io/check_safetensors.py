#!/usr/bin/env python3
"""Opens what libglow writes in Python: with the safetensors package where it is installed, and
always with the small reader below, which is written from docs/format.md alone. Every tensor's
name, type, shape and bytes are compared with what the C program says it wrote.
Usage: check_safetensors.py WRITE_SAMPLES. SPDX-License-Identifier: MIT
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

SIZES = {"U8": 1, "I32": 4, "I64": 8, "F32": 4, "F64": 8, "BF16": 2}


def unique(pairs):
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), "a key is there twice"
    return dict(pairs)


def read_file(path):
    """(metadata, {name: (dtype, shape, bytes)}) of a file, after docs/format.md."""
    with open(path, "rb") as file:
        whole = file.read()
    (length,) = struct.unpack("<Q", whole[:8])
    assert whole[8:9] == b"{" and 8 + length <= len(whole)
    assert (8 + length) % 64 == 0, "data do not start at a multiple of 64"
    header = json.loads(whole[8 : 8 + length].decode("utf-8"), object_pairs_hook=unique)
    data = whole[8 + length :]
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(value, str) for value in metadata.values())
    tensors, at = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert set(entry) == {"dtype", "shape", "data_offsets"}
        begin, end = entry["data_offsets"]
        size = SIZES[entry["dtype"]]
        for dim in entry["shape"]:
            size *= dim
        assert begin == at and end - begin == size, name
        tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
        at = end
    assert at == len(data)
    return metadata, tensors


def read_expected(path):
    tensors = {}
    with open(path + ".expected", encoding="utf-8") as file:
        for line in file:
            name, dtype, *shape = line.split()
            tensors[name] = (dtype, [int(dim) for dim in shape[:-1]], bytes.fromhex(shape[-1][1:]))
    return tensors


def check_architecture(metadata, tensors):
    assert metadata["glow.format_version"] == "1.2"
    model = json.loads(metadata["glow.model"], object_pairs_hook=unique)
    assert set(model) == {"input", "bits", "initialised", "layers"}
    layers = [layer["name"] for layer in model["layers"]]
    for name in tensors:
        assert any(name.startswith(layer + ".") for layer in layers), name


def check_with_package(path, expected, metadata):
    """The package itself: the same names, types, shapes and bytes."""
    try:
        import safetensors
    except ImportError:
        return False
    with open(path, "rb") as file:
        found = dict(safetensors.deserialize(file.read()))
    assert set(found) == set(expected)
    for name, (dtype, shape, data) in expected.items():
        tensor = found[name]
        assert tensor["dtype"] == dtype, name
        assert list(tensor["shape"]) == shape and bytes(tensor["data"]) == data, name
    try:
        import numpy  # safe_open wants a framework
    except ImportError:
        return True
    assert numpy.__version__
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata() == metadata
    return True


def main():
    packaged = False
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        for name in ("types", "model", "half"):
            path = os.path.join(folder, name + ".safetensors")
            expected = read_expected(path)
            metadata, tensors = read_file(path)
            assert tensors == expected, name
            if name == "types":
                assert metadata == {'quote"': "line\nand \u00e9"}
            else:
                check_architecture(metadata, tensors)
            packaged = check_with_package(path, expected, metadata)
            print(name, len(tensors), "tensors")
    print("the package", "agrees" if packaged else "is not installed; the small reader agrees")


main()
