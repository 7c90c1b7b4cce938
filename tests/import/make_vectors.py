#!/usr/bin/python3
"""Vectors for the importers: small models of openai/glow, y0ast/Glow-PyTorch and
rosinality/glow-pytorch, computed in float64 by the formulas of those projects, with none of
libglow's code. SPDX-License-Identifier: MIT

    python3 make_vectors.py DIR           writes NAME.safetensors (weights, under the project's
                                          names) and NAME.vectors.safetensors (what the model
                                          gives) in DIR
    python3 make_vectors.py --check DIR   compares DIR with what it would write: weights bit for
                                          bit, results to 1e-9

Needs PyTorch and NumPy. All random numbers are random.Random(seed).random(), which Python keeps the
same from version to version, and every weight is rounded to float32 before it is used. Names follow
the three projects; shapes in comments; images are NCHW inside, and latents leave as one vector per
sample: the splits' blocks first, each HWC.
"""
import json
import math
import os
import random
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

LOG2PI = math.log(2 * math.pi)


class Weights:
    """Draws weights, keeps them under their names, and hands them out in float64."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tensors = {}

    def uniform(self, shape, low, high):
        count = int(np.prod(shape))
        values = [low + (high - low) * self.random.random() for _ in range(count)]
        return np.array(values).astype(np.float32).reshape(shape)

    def put(self, name, array):
        self.tensors[name] = np.ascontiguousarray(array)
        return torch.tensor(array.astype(np.float64))

    def draw(self, name, shape, size, middle=0.0):
        return self.put(name, self.uniform(shape, middle - size, middle + size))

    def permutation(self, count):
        order = list(range(count))
        for i in range(count - 1, 0, -1):
            j = int(self.random.random() * (i + 1))
            order[i], order[j] = order[j], order[i]
        return np.array(order)

    def signs(self, count):
        return np.array([1.0 if self.random.random() < 0.6 else -1.0 for _ in range(count)],
                        np.float32)

    def mixing(self, count):
        """A well-conditioned matrix: a signed, scaled permutation plus noise."""
        noise = self.uniform((count, count), -0.4, 0.4) / math.sqrt(count)
        matrix = np.zeros((count, count))
        scales = self.uniform((count,), 0.8, 1.2) * self.signs(count)
        matrix[np.arange(count), self.permutation(count)] = scales
        return (matrix + noise).astype(np.float32)

    def factors(self, names, count):
        """P (L + I) (U + diag(sign exp(log_s))), with noise in the parts that are masked away."""
        p = np.zeros((count, count), np.float32)
        p[np.arange(count), self.permutation(count)] = 1
        p = self.put(names["p"], p)
        low = self.draw(names["lower"], (count, count), 1.0 / math.sqrt(count))
        up = self.draw(names["upper"], (count, count), 1.0 / math.sqrt(count))
        log_s = self.draw(names["log_s"], (count,), 0.3)
        sign = self.put(names["sign"], self.signs(count))
        low = torch.tril(low, -1) + torch.eye(count, dtype=torch.float64)
        return p @ low @ (torch.triu(up, 1) + torch.diag(sign * torch.exp(log_s)))


# ---- pieces that all three share ----------------------------------------------------------------


def squeeze(x):
    """[N,C,H,W] to [N,4C,H/2,W/2], channel c*4 + 2*dy + dx."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(n, 4 * c, h // 2, w // 2)


def gaussian(x, mean, logs):
    p = -0.5 * (LOG2PI + 2 * logs + (x - mean) ** 2 * torch.exp(-2 * logs))
    return p.sum(dim=(1, 2, 3))


def channels(v):
    return v.reshape(1, -1, 1, 1)


def log_det(w):
    return torch.linalg.slogdet(w)[1]


def couple(kind, x, net, halves):
    """Second half of x changed by the first: its value, and the log-det."""
    a, b = x.chunk(2, 1)
    h = net(a)
    if kind == "additive":
        return torch.cat((a, b + h), 1), torch.zeros(x.shape[0], dtype=torch.float64)
    shift, raw = halves(h)
    scale = torch.sigmoid(raw + 2)
    return torch.cat((a, (b + shift) * scale), 1), torch.log(scale).sum(dim=(1, 2, 3))


def flow(case, x, step, split, top):
    """The multi-scale flow around a project's own step, split prior and top."""
    latents, objective = [], torch.zeros(x.shape[0], dtype=torch.float64)
    for level in range(case["levels"]):
        x = squeeze(x)
        for k in range(case["depth"]):
            x, change = step(level, k, x)
            objective = objective + change
        if level < case["levels"] - 1:
            x, z = x.chunk(2, 1)
            objective = objective + gaussian(z, *split(level, x))
            latents.append(z)
    objective = objective + gaussian(x, *top(x))
    latents.append(x)
    flat = [z.permute(0, 2, 3, 1).reshape(z.shape[0], -1) for z in latents]
    return torch.cat(flat, 1), objective, x


# ---- openai/glow --------------------------------------------------------------------------------


def edge_pad(x):
    """Zeros around the image, and one channel more that is 1 there and 0 inside."""
    n, c, h, w = x.shape
    border = torch.ones(n, 1, h + 2, w + 2, dtype=torch.float64)
    border[:, :, 1:-1, 1:-1] = 0
    return torch.cat((F.pad(x, (1, 1, 1, 1)), border), 1)


def openai(case, w, x, labels):
    width, kind = case["width"], case["coupling"]

    def convolve(name, x, out, size, noise=1.2):
        x = edge_pad(x) if size == 3 else x
        weight = w.draw(name + "/W", (size, size, x.shape[1], out), noise / math.sqrt(x.shape[1]))
        return F.conv2d(x, weight.permute(3, 2, 0, 1))  # HWIO to OIHW

    def actnorm(name, x, sizes=(0.3, 0.08)):
        b = w.draw(name + "_center/b", (1, 1, 1, x.shape[1]), sizes[0])
        logs = w.draw(name + "_scale/logs", (1, 1, 1, x.shape[1]), sizes[1])
        return (x + channels(b)) * torch.exp(3 * channels(logs)), 3 * logs.sum()

    def zero_conv(name, x, out):
        y = convolve(name, x, out, 3, 0.3)
        b = w.draw(name + "/b", (1, 1, 1, out), 0.3)
        logs = w.draw(name + "/logs", (1, out), 0.08)
        return (y + channels(b)) * torch.exp(3 * channels(logs))

    def linear(name, x, out):
        weight = w.draw(name + "/W", (x.shape[1], out), 0.4)
        b = w.draw(name + "/b", (1, out), 0.3)
        return (x @ weight + b) * torch.exp(3 * w.draw(name + "/logs", (1, out), 0.1))

    def permute(name, x):
        c, pixels = x.shape[1], x.shape[2] * x.shape[3]
        if case["permutation"] == "reverse":
            return x.flip(1), 0.0
        if case["permutation"] == "shuffle":
            order = w.permutation(c)
            w.put(name + "/shuffle/indices", order.astype(np.int32))
            w.put(name + "/shuffle/indices_inverse", np.argsort(order).astype(np.int32))
            return x[:, order], 0.0
        if case["permutation"] == "lu":
            names = dict(p="P", lower="L", upper="U", log_s="log_S", sign="sign_S")
            matrix = w.factors({k: name + "/invconv/" + v for k, v in names.items()}, c)
        else:
            matrix = w.put(name + "/invconv/W", w.mixing(c))
        return torch.einsum("nihw,io->nohw", x, matrix), pixels * log_det(matrix)  # row vector x W

    def step(level, k, x):
        name = "model/%d/%d" % (level, k)
        pixels = x.shape[2] * x.shape[3]
        x, logs = actnorm(name + "/actnorm", x)
        x, change = permute(name, x)

        def net(a):
            h = convolve(name + "/f1/l_1", a, width, 3)
            h = F.relu(actnorm(name + "/f1/l_1/actnorm", h)[0])
            h = convolve(name + "/f1/l_2", h, width, 1)
            h = F.relu(actnorm(name + "/f1/l_2/actnorm", h)[0])
            out = x.shape[1] if kind == "affine" else x.shape[1] // 2
            return zero_conv(name + "/f1/l_last", h, out)

        x, scale = couple(kind, x, net, lambda h: (h[:, 0::2], h[:, 1::2]))
        return x, scale + pixels * logs + change

    def split(level, x):
        h = zero_conv("model/pool%d/conv" % level, x, 2 * x.shape[1])
        return h[:, 0::2], h[:, 1::2]

    def top(x):
        n, c, height, width_ = x.shape
        h = torch.zeros(n, 2 * c, height, width_, dtype=torch.float64)
        if case["learn_top"]:
            h = zero_conv("model/prior/p", h, 2 * c)
        if case["classes"]:
            one_hot = F.one_hot(labels, case["classes"]).to(torch.float64)
            h = h + linear("model/prior/y_emb", one_hot, 2 * c)[:, :, None, None]
        return h.chunk(2, 1)

    latents, log_prob, z = flow(case, x, step, split, top)
    logits = linear("model/classifier", z.mean(dim=(2, 3)), case["classes"]) \
        if case["classifier"] else None
    return latents, log_prob, logits


# ---- y0ast/Glow-PyTorch -------------------------------------------------------------------------


def y0ast(case, w, x, labels):
    width, kind = case["width"], case["coupling"]

    def actnorm(name, x):
        bias = w.draw(name + ".bias", (1, x.shape[1], 1, 1), 0.3)
        logs = w.draw(name + ".logs", (1, x.shape[1], 1, 1), 0.25)
        return (x + bias) * torch.exp(logs), logs.sum()

    def zero_conv(name, x, out):
        logs = w.draw(name + ".logs", (out, 1, 1), 0.08)
        weight = w.draw(name + ".conv.weight", (out, x.shape[1], 3, 3),
                        0.3 / math.sqrt(x.shape[1]))
        bias = w.draw(name + ".conv.bias", (out,), 0.3)
        return F.conv2d(x, weight, bias, padding=1) * torch.exp(3 * logs)

    def linear(name, x, out):
        logs = w.draw(name + ".logs", (out,), 0.1)
        weight = w.draw(name + ".linear.weight", (out, x.shape[1]), 0.4)
        bias = w.draw(name + ".linear.bias", (out,), 0.3)
        return F.linear(x, weight, bias) * torch.exp(3 * logs)

    def permute(name, x):
        c, pixels = x.shape[1], x.shape[2] * x.shape[3]
        if case["permutation"] == "reverse":
            return x.flip(1), 0.0
        if case["permutation"] == "shuffle":  # an attribute of the module, not in its state dict
            order = w.permutation(c)
            w.put(name + ".shuffle.indices", order.astype(np.int64))
            return x[:, order], 0.0
        if case["permutation"] == "lu":
            names = dict(p="p", lower="lower", upper="upper", log_s="log_s", sign="sign_s")
            matrix = w.factors({k: name + ".invconv." + v for k, v in names.items()}, c)
        else:
            matrix = w.put(name + ".invconv.weight", w.mixing(c))
        return F.conv2d(x, matrix[:, :, None, None]), pixels * log_det(matrix)

    def layer(level, k):
        return "flow.layers.%d" % (level * (case["depth"] + 2) + 1 + k)

    def step(level, k, x):
        name = layer(level, k)
        pixels = x.shape[2] * x.shape[3]
        x, logs = actnorm(name + ".actnorm", x)
        x, change = permute(name, x)

        def net(a):
            weight = w.draw(name + ".block.0.conv.weight", (width, a.shape[1], 3, 3),
                            1.2 / math.sqrt(a.shape[1]))
            h = F.relu(actnorm(name + ".block.0.actnorm", F.conv2d(a, weight, padding=1))[0])
            weight = w.draw(name + ".block.2.conv.weight", (width, width, 1, 1), 0.4)
            h = F.relu(actnorm(name + ".block.2.actnorm", F.conv2d(h, weight))[0])
            out = x.shape[1] if kind == "affine" else x.shape[1] // 2
            return zero_conv(name + ".block.4", h, out)

        x, scale = couple(kind, x, net, lambda h: (h[:, 0::2], h[:, 1::2]))
        return x, scale + pixels * logs + change

    def split(level, x):
        h = zero_conv(layer(level, case["depth"]) + ".conv", x, 2 * x.shape[1])
        return h[:, 0::2], h[:, 1::2]

    def top(x):
        n, c, height, width_ = x.shape
        h = w.put("prior_h", np.zeros((1, 2 * c, height, width_), np.float32)).repeat(n, 1, 1, 1)
        if case["learn_top"]:
            h = zero_conv("learn_top_fn", h, 2 * c)
        if case["classes"]:
            one_hot = F.one_hot(labels, case["classes"]).to(torch.float64)
            h = h + linear("project_ycond", one_hot, 2 * c)[:, :, None, None]
        return h.chunk(2, 1)

    latents, log_prob, z = flow(case, x, step, split, top)
    logits = linear("project_class", z.mean(dim=(2, 3)), case["classes"]) \
        if case["classifier"] else None
    return latents, log_prob, logits


# ---- rosinality/glow-pytorch --------------------------------------------------------------------


def rosinality(case, w, x, labels):
    width, kind, start = case["width"], case["coupling"], case["prefix"]

    def zero_conv(name, x, out):
        """The image is padded with ones."""
        scale = w.draw(name + ".scale", (1, out, 1, 1), 0.08)
        weight = w.draw(name + ".conv.weight", (out, x.shape[1], 3, 3),
                        0.3 / math.sqrt(x.shape[1]))
        bias = w.draw(name + ".conv.bias", (out,), 0.3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), value=1), weight, bias) * torch.exp(3 * scale)

    def actnorm(name, x):
        c = x.shape[1]
        loc = w.draw(name + ".loc", (1, c, 1, 1), 0.3)
        scale = w.uniform((c,), 0.7, 1.4) * w.signs(c)
        scale = w.put(name + ".scale", scale.astype(np.float32).reshape(1, c, 1, 1))
        w.put(name + ".initialized", np.array(1, np.uint8))
        return scale * (x + loc), torch.log(scale.abs()).sum()

    def invconv(name, level, x):
        c, pixels = x.shape[1], x.shape[2] * x.shape[3]
        # The last block does not pass its choice on and has the standard one, LU.
        if case["permutation"] == "lu" or level == case["levels"] - 1:
            names = dict(p="w_p", lower="w_l", upper="w_u", log_s="w_s", sign="s_sign")
            matrix = w.factors({k: name + "." + v for k, v in names.items()}, c)
            upper = np.triu(np.ones((c, c), np.float32), 1)
            w.put(name + ".u_mask", upper)
            w.put(name + ".l_mask", upper.T)
            w.put(name + ".l_eye", np.eye(c, dtype=np.float32))
        else:
            matrix = w.put(name + ".weight", w.mixing(c).reshape(c, c, 1, 1))[:, :, 0, 0]
        return F.conv2d(x, matrix[:, :, None, None]), pixels * log_det(matrix)

    def step(level, k, x):
        name = start + "blocks.%d.flows.%d" % (level, k)
        pixels = x.shape[2] * x.shape[3]
        x, logs = actnorm(name + ".actnorm", x)
        x, change = invconv(name + ".invconv", level, x)

        def net(a):
            name_ = name + ".coupling.net"
            weight = w.draw(name_ + ".0.weight", (width, a.shape[1], 3, 3),
                            1.2 / math.sqrt(a.shape[1]))
            h = F.relu(F.conv2d(a, weight, w.draw(name_ + ".0.bias", (width,), 0.3), padding=1))
            weight = w.draw(name_ + ".2.weight", (width, width, 1, 1), 0.4)
            h = F.relu(F.conv2d(h, weight, w.draw(name_ + ".2.bias", (width,), 0.3)))
            out = x.shape[1] if kind == "affine" else x.shape[1] // 2
            return zero_conv(name_ + ".4", h, out)

        x, scale = couple(kind, x, net, lambda h: h.chunk(2, 1)[::-1])  # (log_s, t)
        return x, scale + pixels * logs + change

    def split(level, x):
        return zero_conv(start + "blocks.%d.prior" % level, x, 2 * x.shape[1]).chunk(2, 1)

    def top(x):
        name = start + "blocks.%d.prior" % (case["levels"] - 1)
        return zero_conv(name, torch.zeros_like(x), 2 * x.shape[1]).chunk(2, 1)

    latents, log_prob, _ = flow(case, x, step, split, top)
    return latents, log_prob, None


# ---- cases --------------------------------------------------------------------------------------

USUAL = dict(height=8, width_=8, channels=3, levels=2, depth=2, width=8, coupling="affine",
             permutation="plain", learn_top=True, classes=0, classifier=False, prefix="", bits=8)
CASES = {
    "openai_affine_plain": dict(make=openai, channels=1, width=10),
    "openai_additive_lu_classes": dict(make=openai, coupling="additive", permutation="lu",
                                       classes=5, classifier=True, bits=5, channels=1),
    "openai_affine_shuffle_classes": dict(make=openai, permutation="shuffle", learn_top=False,
                                          classes=3),
    "openai_additive_reverse": dict(make=openai, coupling="additive", permutation="reverse",
                                    learn_top=False, depth=1),
    "y0ast_affine_lu": dict(make=y0ast, permutation="lu", channels=1, width=10),
    "y0ast_additive_plain_classes": dict(make=y0ast, coupling="additive", classes=4,
                                         classifier=True, channels=1),
    "y0ast_affine_reverse": dict(make=y0ast, permutation="reverse", learn_top=False, levels=1,
                                 depth=3, height=4, width_=6),
    "y0ast_affine_shuffle_classes": dict(make=y0ast, permutation="shuffle", learn_top=False,
                                         classes=3, classifier=True, channels=1, levels=3, depth=1),
    "rosinality_affine_lu": dict(make=rosinality, permutation="lu", channels=1, width=10),
    "rosinality_additive_plain": dict(make=rosinality, coupling="additive", prefix="module.",
                                      channels=1, levels=3, depth=1, height=8, width_=16),
}
SAMPLES = 2


def make(name):
    """The two dictionaries of arrays of a case, and its settings."""
    case = dict(USUAL)
    case.update(CASES[name])
    w = Weights("libglow " + name)
    shape = (SAMPLES, case["channels"], case["height"], case["width_"])
    x32 = w.uniform(shape, -0.5, 0.5)
    labels = np.array([i * 2 % max(1, case["classes"]) for i in range(SAMPLES)], np.int32)
    make_model = case.pop("make")
    latents, log_prob, logits = make_model(case, w, torch.tensor(x32.astype(np.float64)),
                                           torch.tensor(labels.astype(np.int64)))
    results = {"x": x32.transpose(0, 2, 3, 1), "latents": latents.numpy(),
               "log_prob": log_prob.numpy()}
    if case["classes"]:
        results["labels"] = labels
    if logits is not None:
        results["logits"] = logits.numpy()
    return w.tensors, results, case


# ---- files --------------------------------------------------------------------------------------

TYPES = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint8": "U8"}


def write(path, arrays, metadata):
    header, blobs, at = {"__metadata__": metadata}, [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": TYPES[str(array.dtype)], "shape": list(array.shape),
                        "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header, data = json.loads(data[8:8 + size]), data[8 + size:]
    kinds = {v: np.dtype(k) for k, v in TYPES.items()}
    return {name: np.frombuffer(data[slice(*t["data_offsets"])], kinds[t["dtype"]])
            .reshape(t["shape"]) for name, t in header.items() if name != "__metadata__"}


def files(folder, name):
    return (os.path.join(folder, name + ".safetensors"),
            os.path.join(folder, name + ".vectors.safetensors"))


def difference(ours, theirs, exact):
    """What is wrong between two dictionaries, or None."""
    if list(ours) != list(theirs):
        return "other tensors"
    for name in ours:
        a, b = ours[name], theirs[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            return name + ": other shape or type"
        if exact or a.dtype != np.float64:
            if a.tobytes() != b.tobytes():
                return name + ": other values"
        elif not np.abs(a - b).max() <= 1e-9 * max(1.0, np.abs(a).max()):
            return name + ": off by %g" % np.abs(a - b).max()
    return None


def check(folder):
    failed = False
    for name in CASES:
        weights, results, _ = make(name)
        paths = files(folder, name)
        wrong = difference(weights, read(paths[0]), True)
        wrong = wrong or difference(results, read(paths[1]), False)
        print("%s: %s" % (name, wrong or "as made"))
        failed = failed or wrong is not None
    return failed


def main():
    torch.set_num_threads(1)
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name in CASES:
        weights, results, case = make(name)
        paths = files(sys.argv[1], name)
        write(paths[0], weights, {"format": "pt"} if not name.startswith("openai") else {})
        shape = {"height": case["height"], "width": case["width_"], "bits": case["bits"],
                 "permutation": case["permutation"]}
        write(paths[1], results, {k: str(v) for k, v in shape.items()})
        print(name, [os.path.getsize(p) for p in paths], "log-prob", results["log_prob"].round(3),
              "latents", np.abs(results["latents"]).max().round(3))


if __name__ == "__main__":
    main()
