#!/usr/bin/env python3
"""glowtool's files of tensors: encode, decode, score and sample against each other, in the shapes
and types that the manual promises, read and written with the standard library alone; files larger
than the memory that a command takes; and files that are wrong.
Usage: test_tensors.py GLOWTOOL. SPDX-License-Identifier: MIT
"""
import os
import resource
import subprocess
import sys
import tempfile

from tensor_files import read, write

tool = os.path.abspath(sys.argv[1])
passed = failed = 0


def expect(what, good):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("WRONG:", what)


def run(*arguments):
    done = subprocess.run([tool, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def good(*arguments):
    code, said = run(*arguments)
    expect(" ".join(arguments) + ": " + said, code == 0)


def refuses(text, *arguments):
    code, said = run(*arguments)
    expect(
        f"{' '.join(arguments)}: code {code}, says {said!r}, not {text!r}",
        code == 2 and text in said,
    )
    expect(" ".join(arguments) + " leaves no file", not os.path.exists("bad.safetensors"))


def apart(a, b):
    return max(abs(x - y) for x, y in zip(a, b))


def pixels(count, seed=1):
    state, out = seed, bytearray()
    for _ in range(count * 192):
        state = (state * 1103515245 + 12345) % 2**31
        out.append(64 + (state >> 16) % 128)
    return bytes(out)


def peak():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def train(out, *more):
    good(
        "train",
        "--format",
        "raw:3x8x8",
        "--data",
        "train.raw",
        "--levels",
        "2",
        "--depth",
        "1",
        "--hidden",
        "4",
        "--batch",
        "4",
        "--steps",
        "2",
        "--out",
        out,
        *more,
    )
    return out + "/model.safetensors"


def round_trips(model):
    """Float32 holds 24 bits: what is about 1 comes back to 1e-4 through a few layers."""
    n = 5
    write("x.safetensors", x=("U8", [n, 8, 8, 3], pixels(n)), y=("I32", [n], [0, 1, 2, 3, 4]))
    for form in ("raw", "whitened"):
        good(
            "encode",
            model,
            "--data",
            "x.safetensors",
            "--form",
            form,
            "--out",
            form + ".safetensors",
            "--batch",
            "2",
        )
        z, metadata = read(form + ".safetensors")
        expect("latents [N, D] F32", z["latents"][:2] == ("F32", [n, 192]))
        for name in ("log_prob", "bits_per_dim", "logdet"):
            expect(name + " [N] F64", z[name][:2] == ("F64", [n]))
        expect("labels pass through", list(z["y"][2]) == [0, 1, 2, 3, 4] and z["y"][0] == "I32")
        expect("the form is written down", list(metadata.values()) == [form])
        good("decode", model, "--data", form + ".safetensors", "--out", "back.safetensors")
        back, _ = read("back.safetensors")
        expect("x comes back, every pixel", back["x"] == read("x.safetensors")[0]["x"])
        expect(
            "log-dets are opposite", apart(back["logdet"][2], [-v for v in z["logdet"][2]]) < 1e-2
        )
        good(
            "decode",
            model,
            "--data",
            form + ".safetensors",
            "--type",
            "float32",
            "--out",
            "float.safetensors",
        )
        expect("x as floats", read("float.safetensors")[0]["x"][:2] == ("F32", [n, 8, 8, 3]))
        good(
            "encode",
            model,
            "--data",
            "float.safetensors",
            "--form",
            form,
            "--out",
            "again.safetensors",
        )
        expect(
            "latents come back",
            apart(read("again.safetensors")[0]["latents"][2], z["latents"][2]) < 1e-3,
        )
    good("score", model, "--data", "x.safetensors", "--out", "scores.safetensors", "--batch", "3")
    scores, _ = read("scores.safetensors")
    expect("score has no latents", sorted(scores) == ["bits_per_dim", "log_prob", "logdet", "y"])
    raw = read("raw.safetensors")[0]
    expect(
        "score says what encode says, in any batch",
        all(scores[k][2] == raw[k][2] for k in ("log_prob", "bits_per_dim", "logdet")),
    )
    good("score", model, "--data", "x.safetensors", "--images", "2", "--out", "two.safetensors")
    expect(
        "the first two alone", read("two.safetensors")[0]["log_prob"][2] == raw["log_prob"][2][:2]
    )
    with open("x.raw", "wb") as file:  # planes, as raw:CxHxW has them
        x = pixels(n)
        for i in range(n):
            file.write(b"".join(x[i * 192 + c : (i + 1) * 192 : 3] for c in range(3)))
    good("score", model, "--data", "x.raw", "--format", "raw:3x8x8", "--out", "images.safetensors")
    expect(
        "images score like their tensors",
        read("images.safetensors")[0]["log_prob"][2] == scores["log_prob"][2],
    )


def samples(model, classes):
    good(
        "sample", model, "--count", "7", "--seed", "3", "--batch", "4", "--out", "seven.safetensors"
    )
    seven, _ = read("seven.safetensors")
    expect("samples are pixels", seven["x"][:2] == ("U8", [7, 8, 8, 3]))
    good("sample", classes, "--count", "4", "--type", "float32", "--out", "four.safetensors")
    four, _ = read("four.safetensors")
    expect(
        "samples as floats, with their classes",
        four["x"][:2] == ("F32", [4, 8, 8, 3]) and list(four["y"][2]) == [0, 1, 2, 3],
    )
    good(
        "sample", model, "--count", "3", "--first", "4", "--seed", "3", "--out", "late.safetensors"
    )
    expect(
        "image N of a seed is the same",
        read("late.safetensors")[0]["x"][2] == seven["x"][2][4 * 192 :],
    )
    wide = ("I64", [4], [3, 2, 1, 0])
    write("wide.safetensors", x=four["x"], y=wide)
    good("score", classes, "--data", "wide.safetensors", "--out", "wide-scores.safetensors")
    expect(
        "labels of 64 bits are read",
        list(read("wide-scores.safetensors")[0]["y"][2]) == [3, 2, 1, 0],
    )


def larger_than_memory(model):
    """What a command takes does not grow with the file: 40,000 samples have 30 MB of latents."""
    small, large = 64, 40000
    block = pixels(100)
    write("small.safetensors", x=("U8", [small, 8, 8, 3], block[: small * 192]))
    write("large.safetensors", x=("U8", [large, 8, 8, 3], block * (large // 100)))
    good("encode", model, "--data", "small.safetensors", "--batch", "64", "--out", "z.safetensors")
    before = peak()
    good("encode", model, "--data", "large.safetensors", "--batch", "64", "--out", "z.safetensors")
    good("decode", model, "--data", "z.safetensors", "--batch", "64", "--out", "x2.safetensors")
    expect(f"memory grew from {before} to {peak()} bytes", peak() - before < 8 << 20)
    one, two = read("large.safetensors")[0]["x"][2], read("x2.safetensors")[0]["x"][2]
    # An error of 1e-6 crosses the border of a bin of 1/256 once in some thousands of pixels.
    changed = sum(1 for a, b in zip(one, two) if a != b)
    expect(
        f"all of it came back, {changed} of {len(one)} changed",
        len(one) == len(two) and changed < len(one) // 1000,
    )


def wrong_files(model, classes):
    out = ("--out", "bad.safetensors")
    x = ("U8", [2, 8, 8, 3], pixels(2))
    cases = {
        "there is no tensor 'x'": {"z": x, "w": x},
        "has 2 dimensions": {"x": ("U8", [2, 192], pixels(2))},
        "if these are [N, C, H, W], say --planar": {"x": ("U8", [2, 3, 8, 8], pixels(2))},
        "smaller than the 8 x 8": {"x": ("U8", [8, 4, 4, 3], pixels(2))},
        "holds no samples": {"x": ("U8", [0, 8, 8, 3], b"")},
        "images of floats are not resized": {"x": ("F32", [1, 8, 12, 2], [0.0] * 192)},
        "'y' is not a vector of whole numbers": {"x": x, "y": ("F32", [2], [0, 1])},
        "'y' is not of 2 samples": {"x": x, "y": ("I32", [3], [0, 1, 2])},
    }
    for text, tensors in cases.items():
        write("wrong.safetensors", **tensors)
        refuses(text, "score", model, "--data", "wrong.safetensors", *out)
    write("wrong.safetensors", x=("F32", [1, 8, 8, 3], [float("nan")] + [0.0] * 191))
    code, said = run("score", model, "--data", "wrong.safetensors", *out)
    expect("NaN is told of: " + said, code == 0 and "1 of 1 samples is not finite" in said)
    os.remove("bad.safetensors")
    write("wrong.safetensors", x=x)
    code, said = run("score", classes, "--data", "wrong.safetensors", "--out", "fine.safetensors")
    expect("no labels will do: " + said, code == 0 and "have no labels" in said)
    unknown = read("fine.safetensors")[0]["log_prob"][2]
    write("wrong.safetensors", x=x, y=("I32", [2], [-1, -1]))
    good("score", classes, "--data", "wrong.safetensors", "--out", "fine.safetensors")
    expect("-1 is no label", read("fine.safetensors")[0]["log_prob"][2] == unknown)
    write("wrong.safetensors", x=x, y=("I64", [2], [0, 2**40]))
    refuses("is not the number of a class", "score", classes, "--data", "wrong.safetensors", *out)
    z = ("F32", [1, 192], [0.0] * 192)
    write("wrong.safetensors", latents=z)
    refuses("raw or whitened", "decode", model, "--data", "wrong.safetensors", *out)
    good(
        "decode", model, "--data", "wrong.safetensors", "--form", "raw", "--out", "fine.safetensors"
    )
    write("wrong.safetensors", latents=("F32", [2, 96], [0.0] * 192))
    refuses("the model has 192", "decode", model, "--data", "wrong.safetensors", *out)
    with open("cut.safetensors", "wb") as file, open("x.safetensors", "rb") as whole:
        file.write(whole.read()[:-5])
    refuses("cut.safetensors", "encode", model, "--data", "cut.safetensors", *out)
    refuses("--data is missing", "decode", model, *out)
    refuses("--data is missing", "encode", model, *out)
    refuses(
        "there is no folder",
        "encode",
        model,
        "--data",
        "x.safetensors",
        "--out",
        "no/z.safetensors",
    )
    refuses("at most 4096", "sample", model, "--count", "5000", "--out", "bad.png")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("train.raw", "wb") as file:
            file.write(pixels(8))
        model = train("plain")
        with open("labelled.bin", "wb") as file:
            for i in range(10):
                file.write(bytes([i]) + (pixels(1, i + 1) * 16))
        good(
            "train",
            "--format",
            "cifar10",
            "--data",
            "labelled.bin",
            "--size",
            "8",
            "--conditional",
            "--levels",
            "2",
            "--depth",
            "1",
            "--hidden",
            "4",
            "--batch",
            "4",
            "--steps",
            "2",
            "--out",
            "classes",
        )
        classes = "classes/model.safetensors"
        round_trips(model)
        samples(model, classes)
        larger_than_memory(model)
        wrong_files(model, classes)
        os.chdir("/")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
