#!/usr/bin/env python3
"""glowtool doctor: a healthy model is healthy; each illness that is sown into its file is found,
named by layer and number, and ends the run with code 1; what is printed for people and as JSON
agrees.
Usage: test_doctor.py GLOWTOOL. SPDX-License-Identifier: MIT
"""
import array
import json
import math
import os
import random
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


def run(code, *arguments):
    """Returns what it says on stdout; on stderr, if it fails otherwise than by its verdict."""
    arguments = [str(a) for a in arguments]
    done = subprocess.run([tool, *arguments], capture_output=True, text=True)
    expect(f"code {done.returncode}, not {code}: {' '.join(arguments)}: {done.stderr}",
           done.returncode == code)
    return done.stderr if code > 1 else done.stdout


def train(out, *options):
    run(0, "train", "--steps", 10, "--levels", 2, "--depth", 2, "--hidden", 8, "--scale", "tanh",
        "--quiet", "--no-checkpoints", "--save-every", 0, "--sample-every", 0, "--out", out,
        *options)
    return f"{out}/model.safetensors"


def sown(model, name, change):
    """The model with another tensor in the place of `name`: change(elements) returns them."""
    tensors, metadata = read(model)
    kind, shape, values = tensors[name]
    tensors[name] = (kind, shape, array.array("f", change(list(values))))
    write("sown.safetensors", metadata, **tensors)
    return "sown.safetensors"


def first(number):
    return lambda values: [number] + values[1:]


DATA = ("--format", "shapes", "--images", 32)


def healthy(model):
    said = run(0, "doctor", model, *DATA)
    expect(f"a healthy model: {said}",
           "\nverdict: ok\n" in said and "bad" not in said and "look" not in said)
    expect("no sample is lost", "of 256, 0 overflow at temperature 0.7, and 0 at 1\n" in said)
    rows = [line for line in said.split("\n") if line.startswith("level")]
    expect("there is a row for each layer", len(rows) == 15)
    told = json.loads(run(0, "doctor", model, *DATA, "--json"))
    expect("JSON agrees", told["verdict"] == "ok" and told["whole"]["images"] == 32 and
           told["whole"]["drawn_lost"] == [0, 0] and told["whole"]["lost"] == 0 and
           "first_nonfinite" not in told["whole"])
    layers = {layer["name"]: layer for layer in told["layers"]}
    expect("16 layers", len(layers) == 16)
    for name, layer in layers.items():
        expect(f"{name} is ok", layer["verdict"] == "ok" and layer["notes"] == [])
        expect(f"{name}: a matrix has a condition number, and nothing else",
               (layer["condition_number"] is not None) == (layer["type"] == "invconv"))
        expect(f"{name}: numbers of data are known",
               layer["round_trip"] < 1e-5 and layer["deviation"] > 0)
        expect(f"{name}: units", layer["units"] == (16 if layer["type"] == "coupling" else 0))
    bare = run(0, "doctor", model)
    expect("it says what is missing", "data:    none (--data)" in bare and "verdict: ok" in bare)
    told = json.loads(run(0, "doctor", model, "--json", "--count", 0))
    expect("what is not known is null", told["layers"][1]["round_trip"] is None and
           told["layers"][1]["units"] is None and told["layers"][1]["lost"] is None and
           told["layers"][1]["drawn_lost"] == [None, None] and told["whole"]["drawn"] == 0)


def ill(model, layer, about, words, tensor, change, verdict="bad"):
    name = sown(model, tensor, change)
    code = 1 if verdict == "bad" else 0
    said = run(code, "doctor", name, *DATA)
    expect(f"{layer}, {words}: {said[-1500:]}",
           any(line.startswith(f"{verdict}: {layer}: ") and words in line
               for line in said.split("\n")))
    told = json.loads(run(code, "doctor", name, *DATA, "--json"))
    found = [note for l in told["layers"] if l["name"] == layer for note in l["notes"]]
    expect(f"{layer}, {about} in JSON: {found}",
           any(n["about"] == about and n["verdict"] == verdict and n["advice"] for n in found))
    expect("the verdict is the worst", told["verdict"] == verdict or verdict != "bad")
    return said, told


def illnesses(model):
    step = "level0.step1"
    ill(model, f"{step}.invconv", "condition_number", "condition number of the matrix is",
        f"{step}.invconv.log_s", lambda v: [-14.0] + [0.0] * (len(v) - 1))
    ill(model, f"{step}.invconv", "condition_number", "condition number of the matrix is",
        f"{step}.invconv.log_s", lambda v: [-8.5] + [0.0] * (len(v) - 1), "look")
    ill(model, f"{step}.actnorm", "least_scale", "the least scale is 1.0e-08",
        f"{step}.actnorm.logs", first(math.log(1e-8)))
    ill(model, f"{step}.actnorm", "least_scale", "the least scale is 1.0e-04",
        f"{step}.actnorm.logs", first(math.log(1e-4)), "look")
    said, told = ill(model, f"{step}.coupling", "dead_units",
                     " % of the units of its network are 0",
                     f"{step}.coupling.net.norm2.bias", lambda v: [-1e9] * len(v), "look")
    dead = [layer for layer in told["layers"] if layer["name"] == f"{step}.coupling"][0]
    expect(f"8 of 16 or more: {dead['dead_units']}", 8 <= dead["dead_units"] <= 16)


def overflowing(model):
    step = "level0.step1"
    said, told = ill(model, f"{step}.actnorm", "lost", "of the data are not finite from here on",
                     f"{step}.actnorm.logs", first(95.0))
    expect(f"names the first: {said[-800:]}",
           f"first layer that is not finite: {step}.actnorm\n" in said)
    expect("also in JSON", told["whole"]["first_nonfinite"] == f"{step}.actnorm" and
           told["whole"]["lost"] == 32)
    expect("on the way back nothing overflows", told["whole"]["drawn_lost"] == [0, 0])
    # 1e38 and a little, times what latents become: above float32 for some, not for others
    name = sown(model, f"{step}.actnorm.logs", lambda v: [-87.0] * len(v))
    told = json.loads(run(1, "doctor", name, "--json", "--count", 400))
    lost = told["whole"]["drawn_lost"]
    expect(f"more samples are lost when it is warmer: {lost}", 0 < lost[1] and lost[0] <= lost[1])
    shares = [sum(layer["drawn_lost"][t] for layer in told["layers"]) for t in (0, 1)]
    expect("layers share what the model loses", shares == lost)


def others():
    """Models with classes, of vectors, and with a condition."""
    model = train("digits", "--format", "digits", "--size", 8, "--images", 64, "--conditional")
    run(0, "doctor", model, "--format", "digits")
    run(0, "doctor", model)
    numbers = random.Random(4)
    with open("table.csv", "w") as file:
        file.write("a,b,c\n")
        for _ in range(200):
            file.write(f"{numbers.gauss(0, 1)},{numbers.gauss(3, 2)},{numbers.gauss(0, 1)}\n")
    run(0, "train", "--model", "vector", "--data", "table.csv", "--condition", "c", "--depth", 2,
        "--steps", 20, "--quiet", "--no-checkpoints", "--save-every", 0, "--out", "table")
    told = json.loads(run(0, "doctor", "table/model.safetensors", "--data", "table.csv",
                          "--condition", "c", "--json", "--images", 50))
    expect(f"as many samples as conditions: {told['whole']}", told["whole"]["drawn"] == 50)
    told = json.loads(run(0, "doctor", "table/model.safetensors", "--json"))
    expect("without conditions none is drawn", told["whole"]["drawn"] == 0)


def defaults():
    """Scales are bounded unless the paper is asked for."""
    small = ("--format", "shapes", "--size", 8, "--images", 16, "--steps", 1, "--levels", 1,
             "--depth", 1, "--hidden", 4, "--batch", 8, "--init-images", 16, "--test-images", 8,
             "--quiet", "--no-checkpoints", "--save-every", 0, "--sample-every", 0)
    for name, scale in ("", "tanh"), ("small", "tanh"), ("cifar10", "sigmoid"):
        preset, out = ("--preset", name) if name else (), name or "default"
        run(0, "train", *preset, *small, "--out", out)
        layers = json.loads(read(f"{out}/model.safetensors")[1]["glow.model"])["layers"]
        found = [l["options"]["scale"] for l in layers if l["type"] == "coupling"]
        expect(f"{preset}: {found} are {scale}", found and set(found) == {scale})


def refusals(model):
    with open("text", "w") as file:
        file.write("no model\n")
    expect("says that it is no model", "text" in run(2, "doctor", "text"))
    expect("a missing file", "No such file" in run(2, "doctor", model, "--data", "missing"))
    said = run(2, "doctor", sown(model, "level0.step0.actnorm.bias", first(math.nan)))
    expect(f"a parameter that is not finite is named: {said}",
           "level0.step0.actnorm.bias': element 0 is not finite" in said)
    said = run(2, "doctor", sown(model, "level0.step0.invconv.log_s", lambda v: [-1000.0] * len(v)))
    expect(f"a matrix without an inverse is named: {said}", "layer 'level0.step0.invconv'" in said)


def main():
    os.environ["GLOW_KERNELS"] = os.environ.get("GLOW_KERNELS", "auto")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        model = train("plain", "--format", "shapes", "--size", 8, "--images", 64)
        healthy(model)
        illnesses(model)
        overflowing(model)
        others()
        defaults()
        refusals(model)
        os.chdir("/")
    print(f"doctor: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
