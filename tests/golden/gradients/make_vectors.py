#!/usr/bin/python3
"""Golden vectors of gradients in both directions, by the float64 reference in reference.py.

    build/tests/write_golden_models DIR      saves a small model of each preset: NAME.model
    python3 make_vectors.py DIR              writes NAME.vectors beside each NAME.model
    python3 make_vectors.py --check DIR      compares them with what it would write, to 1e-9; to
                                             1e-6 what is kept in float32

Needs PyTorch and NumPy. Both are safetensors files; a batch has 3 samples. Given, in float32:
latents (raw), whitened, x, labels, condition, dx, d_latents; in float64: weight, weight_logdet.
Expected, computed in float64, of

    inverse   sum_n <dx, x> + weight log_prob + weight_logdet logdet     x = f^-1(latents)
    whitened  the same, of the whitened latents
    forward   sum_n <d_latents, z> + weight log_prob + weight_logdet logdet     z = f(x)

are KIND.value (x or z), KIND.logdet, KIND.log_prob, KIND.grad.input, KIND.grad.condition, and
KIND.grad.TENSOR for each trainable tensor. Gradients are rounded to float32, to be half as large.
SPDX-License-Identifier: MIT
"""
import pathlib
import random
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
import reference  # noqa: E402

COUNT = 3
CLASSES = 3
FIXED = ("perm", "sign_s", "index", "mean", "var", "deviation")  # of invconv, permute, norms


def normals(draw, shape, scale=1.0):
    values = [scale * draw.gauss(0, 1) for _ in range(int(np.prod(shape)))]
    return np.array(values, np.float32).reshape(shape)


def is_trainable(model, name):
    """Fixed state is that of norms with running averages, standardisations and permutations; the
    top prior's mean trains."""
    layer, last = name.rsplit(".", 1)
    if last in ("condition_mean", "condition_deviation"):
        return False
    return layer == "prior" or last not in FIXED


def double(array):
    return torch.tensor(array, dtype=torch.float64)


def record(out, kind, given, value, log_det, log_prob, cotangent, weights, model, trainable,
           condition):
    weight, weight_logdet = weights
    single = lambda gradient: gradient.numpy().astype(np.float32)
    objective = ((double(cotangent) * value).sum() + (weight * log_prob).sum() +
                 (weight_logdet * log_det).sum())
    inputs = [given] + [model.tensors[name] for name in trainable]
    inputs += [condition] if condition is not None else []
    gradients = torch.autograd.grad(objective, inputs, allow_unused=True)
    gradients = [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, gradients)]
    out[kind + ".value"] = value.detach().numpy()
    out[kind + ".logdet"] = log_det.detach().numpy()
    out[kind + ".log_prob"] = log_prob.detach().numpy()
    out[kind + ".grad.input"] = single(gradients[0])
    for name, gradient in zip(trainable, gradients[1:]):
        out[f"{kind}.grad.{name}"] = single(gradient)
    if condition is not None:
        out[kind + ".grad.condition"] = single(gradients[-1])


def vectors(path):
    model = reference.Model(path)
    draw = random.Random(path.stem)
    trainable = [name for name in sorted(model.tensors) if is_trainable(model, name)]
    for name in trainable:
        model.tensors[name].requires_grad_(True)
    dims = int(np.prod(model.input))
    out = {"labels": np.array([draw.randrange(CLASSES) for _ in range(COUNT)], np.int32)}
    labels = torch.tensor(out["labels"].astype(np.int64))
    out["x"] = normals(draw, (COUNT, *model.input), 0.15).clip(-0.45, 0.45)
    condition = None
    size = model.condition_shape()
    if size:
        out["condition"] = normals(draw, (COUNT, *size))
        condition = double(out["condition"]).requires_grad_(True)
    out["weight"] = np.array([draw.gauss(0, 1) for _ in range(COUNT)])
    out["weight_logdet"] = np.array([draw.gauss(0, 1) for _ in range(COUNT)])
    out["dx"] = normals(draw, (COUNT, dims))
    out["d_latents"] = normals(draw, (COUNT, dims))
    weights = double(out["weight"]), double(out["weight_logdet"])
    x = double(out["x"]).requires_grad_(True)
    raw, whitened, log_det, log_prob = model.forward(x, labels, condition)
    record(out, "forward", x, raw, log_det, log_prob, out["d_latents"], weights, model, trainable,
           condition)
    for kind, latents in (("inverse", raw), ("whitened", whitened)):
        name = "latents" if kind == "inverse" else "whitened"
        out[name] = latents.detach().numpy().astype(np.float32)
        given = double(out[name]).requires_grad_(True)
        back, log_det, log_prob = model.inverse(given, labels, condition, kind == "whitened")
        assert (back - x).abs().max() < 1e-4, "the reference is not its own inverse"
        record(out, kind, given, back.reshape(COUNT, -1), log_det, log_prob, out["dx"], weights,
               model, trainable, condition)
    return out


def differs(expected, path):
    """A text that says where the file differs, or None."""
    found, _ = reference.read_tensors(path)
    if found.keys() != expected.keys():
        return f"other tensors: {sorted(found.keys() ^ expected.keys())[:4]}"
    for name, array in expected.items():
        error = np.abs(array.astype(np.float64) - found[name]).max()
        bound = 1e-9 if array.dtype == np.float64 else 1e-6
        if error > bound * max(1.0, np.abs(array).max()):
            return f"{name}: {error:.1e}"
    return None


def main(arguments):
    check = arguments[:1] == ["--check"]
    wrong = 0
    for path in sorted(pathlib.Path(arguments[-1]).glob("*.model")):
        made, target = vectors(path), path.with_suffix(".vectors")
        difference = differs(made, target) if check else reference.write_tensors(target, made)
        wrong += difference is not None
        print(path.stem, difference or ("as made" if check else "written"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
