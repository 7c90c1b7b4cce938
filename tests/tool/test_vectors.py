"""Tables and odd images end to end: learnt, scored, encoded, decoded, sampled, in every kind of
file.

    python3 test_vectors.py GLOWTOOL PRINT_SAMPLES

SPDX-License-Identifier: MIT
"""

import csv
import json
import math
import os
import random
import struct
import sys
import zipfile

from data_helpers import SEED, bad, expect, good, grey, npy, png, read, run_all, same, write


def rows(name):
    with open(name, newline="") as file:
        return list(csv.DictReader(file))


def plane(count, seed):
    """x given c is normal around (c, -c) with sd 1/2; c is normal."""
    noise = random.Random(seed)
    for _ in range(count):
        c = noise.gauss(0, 1)
        yield noise.gauss(c, 0.5), noise.gauss(-c, 0.5), c


QUICK = [
    "--depth",
    "2",
    "--hidden",
    "16",
    "--batch",
    "64",
    "--micro-batch",
    "64",
    "--threads",
    "1",
    "--no-checkpoints",
    "--quiet",
    "--overwrite",
]


def vectors():
    data = list(plane(2000, SEED))
    grey("image.png", 1)
    write(
        "p.csv",
        "id,u,v,c\n"
        + "".join(f"n{i},{u:.6f},{v:.6f},{c:.6f}\n" for i, (u, v, c) in enumerate(data)),
    )
    table = ["--data", "p.csv", "--id-column", "id", "--condition", "c"]
    model = "flow/model.safetensors"
    good(
        "train",
        "--model",
        "vector",
        *table,
        *QUICK,
        "--steps",
        "300",
        "--lr",
        "0.005",
        "--out",
        "flow",
    )
    good("score", model, *table, "--out", "s.csv")
    scores = rows("s.csv")
    same("a row for each, by its id", [r["name"] for r in scores], [f"n{i}" for i in range(2000)])
    truth = sum(
        -math.log(2 * math.pi * 0.25) - ((u - c) ** 2 + (v + c) ** 2) / 0.5 for u, v, c in data
    ) / len(data)
    mean = sum(float(r["log_prob"]) for r in scores) / len(scores)
    # The true density has the highest mean, -1.45 nats; without conditions it could reach -2.3.
    expect(f"it has learnt: {mean} nats of {truth}", truth - 0.15 < mean < truth + 0.05)
    said = good("info", model)
    expect(
        "info says so: " + said, "vectors:     of 2 numbers" in said and "conditions:  1" in said
    )
    good("score", model, *table, "--out", "s.npy")
    array = read("s.npy", vectors=1)["values"]
    expect(
        ".npy has log_prob",
        all(abs(a - float(r["log_prob"])) < 1e-5 * (1 + abs(a)) for a, r in zip(array, scores)),
    )
    good("score", model, *table, "--out", "s.safetensors")
    same(
        "and tensors the names",
        bytes(
            read("s.safetensors", vectors=1, tensor="names")["values"]
            and [int(v) for v in read("s.safetensors", vectors=1, tensor="names")["values"]]
        ).split(b"\n")[1],
        b"n1",
    )
    for end in ("csv", "safetensors"):
        good("encode", model, *table, "--form", "whitened", "--out", "z." + end)
        good("decode", model, "--data", "z." + end, "--form", "whitened", "--out", "x." + end)
    expect(
        "latents are about standard normal",
        abs(sum(float(r["latents0"]) for r in rows("z.csv"))) / 2000 < 0.2,
    )
    back = rows("x.csv")
    worst = max(
        abs(float(r["x0"]) - u) + abs(float(r["x1"]) - v) for r, (u, v, _) in zip(back, data)
    )
    expect(f"there and back through CSV: {worst}", worst < 1e-3)
    same("names come along", back[7]["name"], "n7")
    found = read("x.safetensors", vectors=1)["values"]
    expect("and through tensors", max(abs(a - u) for a, (u, _, _) in zip(found[::2], data)) < 1e-3)
    good("sample", model, "--given", "2", "--count", "500", "--temperature", "1", "--out", "n.csv")
    drawn = [float(r["x0"]) for r in rows("n.csv")]
    # sd of the mean: 0.5 / sqrt(500) = 0.022; the model itself is off by as much again
    expect(f"samples given 2: {sum(drawn) / 500}", abs(sum(drawn) / 500 - 2) < 0.25)
    good(
        "sample",
        model,
        "--data",
        "p.csv",
        "--condition",
        "c",
        "--id-column",
        "id",
        "--out",
        "n.npy",
    )
    same("a sample for each row", read("n.npy", vectors=1)["count"], 2000)
    bad("a condition of 1 values: give it by --given", "sample", model, "--out", "n.csv")
    bad("--given: 2 values", "sample", model, "--given", "1,2", "--out", "n.csv")
    bad(
        "condition has 1 values, but the data have 0",
        "score",
        model,
        "--data",
        "p.csv",
        "--data-columns",
        "u,v",
        "--out",
        "q.csv",
    )
    good(
        "train",
        "--model",
        "vector",
        "--coupling",
        "affine",
        "--data",
        "p.csv",
        "--data-columns",
        "u,v",
        "--test",
        "p.csv",
        *QUICK,
        "--steps",
        "20",
        "--out",
        "affine",
    )
    good(
        "eval",
        "affine/model.safetensors",
        "--data",
        "p.csv",
        "--data-columns",
        "u,v",
        "--per-image",
        "e.csv",
    )
    same("eval tells of each", len(rows("e.csv")), 2000)
    good("train", "--from", model, *table, *QUICK[4:], "--steps", "5", "--out", "further")
    bad(
        "--bits means nothing with --model vector",
        "train",
        "--model",
        "vector",
        "--data",
        "p.csv",
        "--bits",
        "5",
        "--out",
        "no",
    )
    bad(
        "images, where a table is wanted",
        "train",
        "--model",
        "vector",
        "--data",
        "image.png",
        "--out",
        "no",
    )
    bad(
        "only vector has spline couplings",
        "train",
        "--data",
        "image.png",
        "--coupling",
        "spline",
        "--out",
        "no",
    )


def resumed():
    """A streamed run is, bit for bit, the run in memory, also when it is resumed."""
    write("big.csv", "\n".join(f"{i % 977 / 100},{-i % 911 / 100}" for i in range(140000)))
    arguments = ["--model", "vector", "--data", "big.csv", *QUICK[:8], "--threads", "1", "--quiet"]
    for name, more in (("whole", []), ("streamed", ["--data-memory", "1"])):
        good("train", *arguments, *more, "--steps", "12", "--out", name)
    good("train", *arguments, "--data-memory", "1", "--steps", "6", "--out", "half")
    good("train", "--resume", "half", "--steps", "12", "--quiet", "--threads", "1")
    model = [open(f"{n}/model.safetensors", "rb").read() for n in ("whole", "streamed", "half")]
    expect("streamed is the same model", model[0] == model[1])
    expect("and resumed", model[0] == model[2])


def images_end_to_end():
    noise = random.Random(SEED)
    for name in ("ape", "bee"):
        for i in range(6):
            write(f"zoo/{name}/{i}.png", png(8, 8, 3, noise.randbytes(192)))
    small = [
        "--levels",
        "1",
        "--depth",
        "1",
        "--hidden",
        "4",
        "--steps",
        "2",
        "--batch",
        "4",
        "--threads",
        "1",
        "--no-checkpoints",
        "--overwrite",
    ]
    said = good(
        "train",
        "--data",
        "zoo",
        "--classes-from",
        "folders",
        "--conditional",
        *small,
        "--out",
        "zoo-model",
    )
    expect("classes are told: " + said, "2 classes, from ape to bee" in said)
    model = "zoo-model/model.safetensors"
    facts = json.loads(good("info", model, "--json"))
    same("and kept in the model", facts["metadata"], {"class_names": "ape\nbee"})
    same("not beside it", os.path.exists("zoo-model/classes.csv"), False)
    expect("they are shown", "class_names: ape" in good("info", model))
    os.makedirs("bees")
    os.symlink("../zoo/bee", "bees/bee")
    good("score", model, "--data", "bees", "--classes-from", "folders", "--out", "b.csv")
    same("classes of a folder that lacks one", {r["y"] for r in rows("b.csv")}, {"1"})
    same("names of files", rows("b.csv")[0]["name"], "bees/bee/0.png")
    said = good("eval", model, "--data", "zoo")
    expect("unlabelled is fine", "have no labels" in said)
    good("anomaly", model, "--data", "zoo", "--other", "zoo", "--out", "a.png")
    wide = [png(12, 8, 1, noise.randbytes(96)) for _ in range(4)]
    for i, data in enumerate(wide):
        write(f"wide/{i}.png", data)
    good("train", "--data", "wide", "--size", "12x8", *small, "--out", "wide-model")
    expect("12 x 8", "8 x 12 x 1 (height" in good("info", "wide-model/model.safetensors"))
    bad(
        "12 of 12 images are smaller than the 12 x 8 that is needed",
        "eval",
        "wide-model/model.safetensors",
        "--data",
        "zoo",
    )
    good("eval", "wide-model/model.safetensors", "--data", "zoo", "--upsample")
    floats = [noise.random() - 0.5 for _ in range(4 * 64)]
    write("f.npy", npy("<f4", (4, 8, 8, 1), struct.pack("<256f", *floats)))
    good("train", "--data", "f.npy", *small, "--out", "float-model")
    write("g.npy", npy("<f4", (4, 8, 8, 1), struct.pack("<256f", *[9 * v for v in floats])))
    bad(
        "scale them, save them as uint8, or model them as continuous values with --bits 0",
        "train",
        "--data",
        "g.npy",
        *small,
        "--out",
        "no",
    )
    good("train", "--data", "g.npy", "--bits", "0", *small, "--out", "continuous")
    bad(
        "the samples are pixels, but the model is for continuous data",
        "eval",
        "continuous/model.safetensors",
        "--data",
        grey("eight.png", 7, 8, 8),
    )
    photo = grey("photo.jpg", 3)
    bad("photo.jpg is a PNG image, not a model", "info", photo)
    bad("zoo is a folder, not a model", "info", "zoo")
    bad("photo.jpg is a PNG image, not a file of tensors", "import", photo, "--size", "8")
    bad("g.npy is a NumPy array, not a model", "sample", "g.npy")
    with zipfile.ZipFile("m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\2}q\0.")
    bad("m.pt is a PyTorch file, which is not read", "import", "m.pt", "--size", "8")
    bad("a PyTorch file, which is not read", "train", "--data", "m.pt", "--out", "no")
    bad("--size: '8x' is not N or WxH", "train", "--data", "zoo", "--size", "8x", "--out", "no")


def mean_score(name, *train):
    """Mean log-density in nats of the rows of NAME.csv, in which c is the condition."""
    table = ["--data", name + ".csv", "--condition", "c"]
    words = ["--model", "vector", *table, *QUICK, "--steps", "150", "--lr", "0.005"]
    # Many gradients are 0 at first but for roundings, for initialisation left nothing to do. By
    # default Adam would take whole steps by their signs.
    words += ["--epsilon", "1e-3"]
    good("train", *words, *train, "--out", name)
    good("score", name + "/model.safetensors", *table, "--out", name + ".s.csv")
    found = [float(r["log_prob"]) for r in rows(name + ".s.csv")]
    return sum(found) / len(found)


def units():
    """Columns in other units: a mean of 1e6, a scale of 100, a condition of scale 1e4. All values
    are exact in float32 in both, so that the tables hold the same data."""
    near, far = "u,v,c\n", "u,v,c\n"
    for u, v, c in plane(1000, SEED):
        u, v, c = round(u * 16) / 16, round(v * 16) / 16, round(c * 64) / 64
        near += f"{u},{v},{c}\n"
        far += f"{u + 1e6},{100 * v},{1e4 * c}\n"
    write("near.csv", near)
    write("far.csv", far)
    wanted = mean_score("near")
    found = mean_score("far") + math.log(100)
    # Means around 1e6 are rounded by up to 1/32, which the first actnorm takes up, and so training
    # starts, and goes on, from slightly different roundings.
    expect(f"{found} nats, {wanted} in other units", abs(found - wanted) < 0.02)
    plain = mean_score("far", "--no-standardise") + math.log(100)
    expect(f"{plain} nats without standardisation, {wanted} with", plain < wanted - 0.2)


sys.exit(run_all((vectors, resumed, units, images_end_to_end)))
