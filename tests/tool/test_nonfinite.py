#!/usr/bin/env python3
"""Samples that are not finite, when they are read or because a model overflows on them: in each
command of glowtool they get NaN (pixels 0), are counted and named by their own number, fail a run
with --strict alone, and leave the results of the others as they are without them.
Usage: test_nonfinite.py GLOWTOOL. SPDX-License-Identifier: MIT
"""
import array
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

from tensor_files import read, write

tool = os.path.abspath(sys.argv[1])
passed = failed = 0
COUNT, SIDE, DIMS = 40, 8, 192
BAD = {7: 3e38, 33: math.nan, 39: -math.inf}  # rows, and a number in each


def expect(what, good):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("WRONG:", what)


def run(code, *arguments):
    """Returns what it says on stderr."""
    arguments = [str(a) for a in arguments]
    done = subprocess.run([tool, *arguments], capture_output=True, text=True)
    expect(f"code {done.returncode}, not {code}: {' '.join(arguments)}: {done.stderr}",
           done.returncode == code)
    run.out = done.stdout
    return done.stderr


def warned(said, bad, rows, first):
    expect(f"warns of {bad} of {rows}, first {first}: {said!r}",
           re.search(rf"warning: {bad} of {rows} \w+ (is|are) not finite "
                     rf"\(the first is number {first}\b", said))


def rows_of(values, size):
    return [values[i : i + size] for i in range(0, len(values), size)]


def all_nan(row):
    return all(math.isnan(v) for v in row)


def same_but(wrong, right, size, bad, what):
    """The bad rows are NaN, the others have the bits that they have among good ones."""
    for i, (a, b) in enumerate(zip(rows_of(wrong, size), rows_of(right, size))):
        if i in bad:
            expect(f"{what}: row {i} is NaN: {list(a)[:4]}", all_nan(a))
        else:
            expect(f"{what}: row {i} is as it would be", a.tobytes() == b.tobytes())


def with_bad(values, size):
    out = array.array("f", values)
    for row, number in BAD.items():
        out[row * size + 5] = number
    return out


# ---- read so -------------------------------------------------------------------------------------

def forward(model):
    numbers = random.Random(1)
    x = array.array("f", [numbers.random() - 0.5 for _ in range(COUNT * DIMS)])
    shape = [COUNT, SIDE, SIDE, 3]
    write("good.safetensors", x=("F32", shape, x))
    write("bad.safetensors", x=("F32", shape, with_bad(x, DIMS)))
    forms = [("encode", "--form", form) for form in ("raw", "whitened")]
    for command, *more in [("score",), *forms]:
        run(0, command, model, "--data", "good.safetensors", *more, "--out", "right.safetensors")
        said = run(0, command, model, "--data", "bad.safetensors", *more, "--json", "--out",
                   "wrong.safetensors")
        warned(said, 3, COUNT, 7)
        told = json.loads(run.out)
        expect(f"{command} --json counts them", told["nonfinite"] == 3 and told["samples"] == COUNT)
        right, wrong = read("right.safetensors")[0], read("wrong.safetensors")[0]
        bits = wrong["bits_per_dim"][2]
        mean = sum(b for b in bits if math.isfinite(b)) / (COUNT - 3)
        # JSON has nine digits: half a unit of the ninth is at most 5e-9 of a number.
        expect("the mean is over the others", abs(told["bits_per_dim"] - mean) <= 5e-9 * abs(mean))
        for name, (_, shape, values) in wrong.items():
            same_but(values, right[name][2], DIMS if name == "latents" else 1, BAD,
                     f"{command} {more}: {name}")
        os.remove("wrong.safetensors")
        said = run(1, command, model, "--data", "bad.safetensors", *more, "--strict", "--out",
                   "wrong.safetensors")
        warned(said, 3, COUNT, 7)
        expect("--strict writes the file all the same", os.path.exists("wrong.safetensors"))
        run(0, command, model, "--data", "good.safetensors", *more, "--strict", "--out",
            "wrong.safetensors")


def inverse(model):
    numbers = random.Random(2)
    z = array.array("f", [numbers.gauss(0.0, 0.5) for _ in range(COUNT * DIMS)])
    form = {"glowtool.latents": "whitened"}
    write("good.safetensors", form, latents=("F32", [COUNT, DIMS], z))
    write("bad.safetensors", form, latents=("F32", [COUNT, DIMS], with_bad(z, DIMS)))
    run(0, "decode", model, "--data", "good.safetensors", "--type", "float32", "--out",
        "right.safetensors")
    said = run(0, "decode", model, "--data", "bad.safetensors", "--type", "float32", "--out",
               "wrong.safetensors")
    right, wrong = read("right.safetensors")[0], read("wrong.safetensors")[0]
    bad = [i for i, v in enumerate(wrong["logdet"][2]) if math.isnan(v)]
    expect(f"what was read so is among them: {bad}", {33, 39} <= set(bad) <= set(BAD))
    warned(said, len(bad), COUNT, bad[0])
    if bad[0] == 7:  # 3e38, which overflows inside
        expect(f"decode names the layer: {said!r}",
               re.search(r"number 7, which overflows at layer 'level0\.\w+", said))
    write("bad.safetensors", form, latents=("F32", [2, DIMS], array.array(
        "f", list(z[:DIMS]) + [math.nan] * DIMS)))
    said = run(0, "decode", model, "--data", "bad.safetensors", "--out", "other.safetensors")
    warned(said, 1, 2, 1)
    expect(f"no layer where it was read so: {said!r}", "at layer" not in said)
    write("bad.safetensors", form, latents=("F32", [COUNT, DIMS], with_bad(z, DIMS)))
    same_but(wrong["x"][2], right["x"][2], DIMS, bad, "decode: x")
    same_but(wrong["logdet"][2], right["logdet"][2], 1, bad, "decode: logdet")
    said = run(1, "decode", model, "--data", "bad.safetensors", "--type", "uint8", "--strict",
               "--out", "wrong.safetensors")
    warned(said, len(bad), COUNT, bad[0])
    expect(f"it says what stands there: {said!r}", "their pixels are 0" in said)
    pixels = rows_of(read("wrong.safetensors")[0]["x"][2], DIMS)
    expect("pixels are 0 there", all(not any(pixels[i]) for i in bad))


# ---- overflowing ---------------------------------------------------------------------------------

def scaled(model, factor):
    """The model with a coupling whose scales are exp of `factor` times what they are of."""
    tensors, metadata = read(model)
    name = "level0.step1.coupling.net.conv3.logs"  # its net's output is times exp(3 logs)
    kind, shape, values = tensors[name]
    tensors[name] = (kind, shape, array.array("f", [v + math.log(factor) / 3.0 for v in values]))
    write("scaled.safetensors", metadata, **tensors)
    return "scaled.safetensors"


def overflowing(model):
    """A model that overflows on some of 64 generated images, and the numbers of those."""
    factor = 50.0
    while factor < 5000.0:
        name = scaled(model, factor)
        said = run(0, "eval", name, "--format", "shapes", "--images", 64, "--per-image", "bits.csv",
                   "--json")
        with open("bits.csv") as file:
            bits = [float(line.split(",")[1]) for line in list(file)[1:]]
        bad = [i for i, b in enumerate(bits) if not math.isfinite(b)]
        if 0 < len(bad) < 60 and 0 < len([i for i in bad if i < 16]):
            warned(said, len(bad), 64, bad[0])
            expect(f"names the layer: {said!r}", "at layer 'level0.step1.coupling'" in said)
            told = json.loads(run.out)
            expect("eval --json counts them", told["nonfinite"] == len(bad))
            expect("eval's mean is over the others", told["images"] == 64 - len(bad))
            return name, bad
        factor *= 1.1
    expect("there is a model that overflows on some images", False)
    return None, []


def pictures(model):
    name, bad = overflowing(model)
    if not name:
        return
    data = ("--format", "shapes")
    run(1, "eval", name, *data, "--images", 64, "--strict")
    first16 = [i for i in bad if i < 16]
    for strict in ((), ("--strict",)):
        said = run(len(strict), "reconstruct", name, *data, "--count", 16, "--json", *strict)
        told = json.loads(run.out)
        expect(f"reconstruct counts them: {told}", told["nonfinite"] >= len(first16) and
               (told["max_error"] is None or math.isfinite(told["max_error"])))
        warned(said, told["nonfinite"], 16, r"\d+")
        said = run(len(strict), "interpolate", name, *data, "--rows", 8, *strict)
        warned(said, r"\d+", 72, r"\d+")
        warned(run(len(strict), "anomaly", name, *data, "--images", 64, "--other-format", "shapes",
                   "--per-image", "scores.csv", "--json", *strict), 2 * len(bad), 128, bad[0])
        told = json.loads(run.out)
        kept = len([i for i in range(32, 64) if i not in bad])
        expect(f"anomaly leaves them out: {told}",
               told["images"] == kept and told["other_images"] == 64 - len(bad) and
               0 <= told["auc_likelihood"] <= 1)
    write_images("images.bin", 24)
    said = run(0, "attribute", name, "--with", "images.bin", "--without", "images.bin", "--format",
               "raw:3x8x8", "--rows", 2)
    expect("attribute's direction is finite", "length nan" not in run.out)


def write_images(path, count):
    numbers = random.Random(3)
    with open(path, "wb") as file:
        for i in range(count):
            level = 60 + 5 * i
            file.write(bytes(min(255, level + numbers.randrange(8)) for _ in range(DIMS)))


def samples(model):
    """At a high temperature some overflow."""
    name = scaled(model, 30.0)
    for temperature in (1, 1.5, 2, 3, 5, 8):
        said = run(0, "sample", name, "--temperature", temperature, "--count", 100, "--first", 1000,
                   "--type", "float32", "--out", "new.safetensors")
        x = rows_of(read("new.safetensors")[0]["x"][2], DIMS)
        bad = [i for i, row in enumerate(x) if not all(math.isfinite(v) for v in row)]
        if bad:
            break
    expect("some samples overflow", bad)
    if not bad:
        return
    warned(said, len(bad), 100, 1000 + bad[0])
    expect(f"sample names the layer: {said!r}",
           re.search(r"which overflows at layer 'level0\.step[01]\.\w+'", said))
    expect("the whole sample is NaN", all(all_nan(x[i]) for i in bad))
    options = ("sample", name, "--temperature", temperature, "--count", 100, "--first", 1000)
    said = run(1, *options, "--type", "uint8", "--strict", "--out", "new.safetensors")
    warned(said, len(bad), 100, 1000 + bad[0])
    pixels = rows_of(read("new.safetensors")[0]["x"][2], DIMS)
    expect("its pixels are 0", all(not any(pixels[i]) for i in bad))
    warned(run(0, *options, "--out", "new.png"), len(bad), 100, 1000 + bad[0])
    run(1, *options, "--out", "new.png", "--strict")
    said = run(0, "sweep", name, "--temperatures", f"0,{temperature}", "--columns", 100)
    warned(said, r"\d+", 200, r"\d+")
    run(1, "sweep", name, "--temperatures", f"0,{temperature}", "--columns", 100, "--strict")


# ---- labels --------------------------------------------------------------------------------------

def labels():
    with open("classes.bin", "wb") as file:
        for i in range(20):
            file.write(bytes([i % 10]) + bytes((i * 7 + j) % 251 for j in range(3072)))
    run(0, "train", "--data", "classes.bin", "--format", "cifar10", "--conditional", "--size", 8,
        "--levels", 1, "--depth", 1, "--hidden", 4, "--steps", 2, "--batch", 4, "--threads", 1,
        "--no-checkpoints", "--out", "classes")
    model, shape = "classes/model.safetensors", [COUNT, SIDE, SIDE, 3]
    x = array.array("f", [0.1] * (COUNT * DIMS))
    y = [i % 10 for i in range(COUNT)]
    y[33] = 10
    write("y.safetensors", x=("F32", shape, x), y=("I32", [COUNT], y))
    said = run(2, "score", model, "--data", "y.safetensors")
    expect(f"the label's own number: {said!r}", "sample 33 has label 10" in said)
    y[33] = -1
    write("y.safetensors", x=("F32", shape, x), y=("I32", [COUNT], y))
    run(0, "score", model, "--data", "y.safetensors")
    said = run(2, "encode", model, "--data", "y.safetensors", "--form", "whitened")
    expect(f"the number of the one without a class: {said!r}", "sample 33 has label -1" in said)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    run(0, "train", "--format", "shapes", "--size", SIDE, "--images", 128, "--levels", 1,
        "--depth", 2, "--hidden", 8, "--scale", "exp", "--steps", 60, "--batch", 16, "--threads", 1,
        "--no-checkpoints", "--no-net-actnorm", "--out", "run")
    forward("run/model.safetensors")
    inverse("run/model.safetensors")
    pictures("run/model.safetensors")
    samples("run/model.safetensors")
    labels()
    os.chdir("/")

print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
