"""The models of libglow in float64: reads a model file and runs it, both ways, with PyTorch, which
differentiates it. Written from docs/format.md and docs/conventions.md, with none of libglow's code;
batch normalisations use their running averages. Arrays are NHWC. SPDX-License-Identifier: MIT
"""
import json
import math
import struct

import numpy as np
import torch
import torch.nn.functional as F

LOG2PI = math.log(2 * math.pi)
TYPES = {"F32": "<f4", "F64": "<f8", "I32": "<i4"}


# ---- files ---------------------------------------------------------------------------------------

def read_tensors(path):
    """({name: array}, metadata) of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        array = np.frombuffer(data[begin:end], TYPES[tensor["dtype"]])
        tensors[name] = array.reshape(tensor["shape"])
    return tensors, metadata


def write_tensors(path, tensors):
    names = {np.dtype(text): name for name, text in TYPES.items()}
    header, blobs, at = {}, [], 0
    for name, array in tensors.items():
        blob = np.ascontiguousarray(array).tobytes()
        header[name] = dict(dtype=names[array.dtype], shape=list(array.shape),
                            data_offsets=[at, at + len(blob)])
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


# ---- pieces --------------------------------------------------------------------------------------

def conv(x, weight):
    """Cross-correlation with zero padding: x NHWC, weight [out, in, k, k]."""
    y = F.conv2d(x.permute(0, 3, 1, 2), weight, padding=weight.shape[2] // 2)
    return y.permute(0, 2, 3, 1)


def at_border(x, edge):
    """What the border indicator adds: it is 1 in the padding. edge [out, 3, 3]."""
    indicator = torch.ones(1, 1, x.shape[1] + 2, x.shape[2] + 2, dtype=x.dtype)
    indicator[:, :, 1:-1, 1:-1] = 0
    return F.conv2d(indicator, edge[:, None]).permute(0, 2, 3, 1)


def gaussian(z, mean, logs):
    return -0.5 * (2 * logs + (z - mean) ** 2 * torch.exp(-2 * logs) + LOG2PI)


def logistic(z, mean, logs):
    e = (z - mean) * torch.exp(-logs)
    return -e - 2 * F.softplus(-e) - logs


def per_sample(x):
    return x.reshape(x.shape[0], -1).sum(1)


class Piece:
    """A layer or net: its options and, under their names without the prefix, its tensors."""

    def __init__(self, model, prefix, options):
        self.model, self.prefix, self.options = model, prefix, options

    def __getitem__(self, name):
        return self.model.tensors[self.prefix + name]

    def has(self, name):
        return self.prefix + name in self.model.tensors


# ---- nets ----------------------------------------------------------------------------------------

class Net(Piece):
    def condition(self, condition):
        if self.has("condition_mean"):
            shape = self["condition_mean"].shape
            flat = condition.reshape(condition.shape[0], -1, *shape)
            flat = (flat - self["condition_mean"]) / self["condition_deviation"]
            condition = flat.reshape(condition.shape)
        return condition

    def with_condition(self, x, condition):
        """x with the channels that a vector, or a squeezed image, adds to each pixel."""
        if not self.options.get("net.condition_channels", 0):
            return x
        c = self.condition(condition)
        n, height, width, channels = c.shape
        factor = height // x.shape[1] if height > 1 else 1
        if height == 1 and width == 1:
            return torch.cat([x, c.expand(n, x.shape[1], x.shape[2], channels)], 3)
        c = c.reshape(n, x.shape[1], factor, x.shape[2], factor, channels)
        c = c.permute(0, 1, 3, 5, 2, 4).reshape(n, x.shape[1], x.shape[2], -1)
        return torch.cat([x, c], 3)


class ConvNet(Net):
    def hidden(self, x, number):
        y = conv(x, self[f"conv{number}.weight"])
        if self.has(f"conv{number}.edge"):
            y = y + at_border(x, self[f"conv{number}.edge"])
        if self.has(f"conv{number}.bias"):
            return F.relu(y + self[f"conv{number}.bias"])
        return F.relu((y + self[f"norm{number}.bias"]) * torch.exp(self[f"norm{number}.logs"]))

    def __call__(self, x, condition, out):
        return zero_conv(self, self.hidden(self.hidden(self.with_condition(x, condition), 1), 2),
                         "conv3.")


def zero_conv(piece, x, prefix):
    y = conv(x, piece[prefix + "weight"])
    if piece.has(prefix + "edge"):
        y = y + at_border(x, piece[prefix + "edge"])
    return (y + piece[prefix + "bias"]) * torch.exp(3 * piece[prefix + "logs"])


class MlpNet(Net):
    def __call__(self, x, condition, out):
        h = x.reshape(x.shape[0], -1)
        if self.options.get("net.context", 0):
            h = torch.cat([h, self.condition(condition).reshape(x.shape[0], -1)], 1)
        depth = self.options.get("net.depth", 2)
        for k in range(1, depth + 2):
            h = F.linear(h, self[f"fc{k}.weight"], self[f"fc{k}.bias"])
            h = F.relu(h) if k <= depth else h
        return h.reshape(*x.shape[:3], out)


class ResNet(Net):
    def conv(self, x, name):
        weight = self[name + ".weight"]
        if self.options.get("net.weight_norm", 1):
            weight = weight / (weight ** 2).sum((1, 2, 3), keepdim=True).sqrt()
        if self.has(name + ".gain"):
            weight = weight * self[name + ".gain"].reshape(-1, 1, 1, 1)
        y = conv(x, weight)
        return y + self[name + ".bias"] if self.has(name + ".bias") else y

    def norm(self, x, name):
        if not self.has(name + ".mean"):
            return F.relu(x)
        y = (x - self[name + ".mean"]) / torch.sqrt(self[name + ".var"] + 1e-4)
        return F.relu(y + self[name + ".bias"])

    def __call__(self, x, condition, out):
        r = self.conv(self.with_condition(x, condition), "first")
        total = self.conv(r, "skip")
        for k in range(self.options.get("net.blocks", 4)):
            block = f"block{k}."
            h = self.conv(self.norm(r, block + "norm1"), block + "conv1")
            r = r + self.conv(self.norm(h, block + "norm2"), block + "conv2")
            total = total + self.conv(r, block + "skip")
        return self.conv(self.norm(total, "norm"), "last")


NETS = {"conv": ConvNet, "mlp": MlpNet, "res": ResNet}


# ---- layers: forward gives y and log-det; inverse gives x and forward's log-det there ------------

class Actnorm(Piece):
    def log_det(self, x):
        return x.shape[1] * x.shape[2] * self["logs"].sum().expand(x.shape[0])

    def forward(self, x, condition):
        return (x + self["bias"]) * torch.exp(self["logs"]), self.log_det(x)

    def inverse(self, y, condition):
        return y * torch.exp(-self["logs"]) - self["bias"], self.log_det(y)


class Invconv(Piece):
    def matrix(self):
        if self.has("weight"):
            return self["weight"]
        lower, upper = torch.tril(self["lower"], -1), torch.triu(self["upper"], 1)
        eye = torch.eye(lower.shape[0], dtype=lower.dtype)
        m = (lower + eye) @ (upper + torch.diag(self["sign_s"] * torch.exp(self["log_s"])))
        perm = self["perm"].long()
        return m[:, perm] if self.options.get("columns", 0) else m[perm]

    def log_det(self, x):
        size = torch.linalg.slogdet(self.matrix())[1]
        return x.shape[1] * x.shape[2] * size.expand(x.shape[0])

    def forward(self, x, condition):
        return x @ self.matrix().T, self.log_det(x)

    def inverse(self, y, condition):
        return y @ torch.linalg.inv(self.matrix()).T, self.log_det(y)


class Permute(Piece):
    def forward(self, x, condition):
        return x[..., self["index"].long()], x.new_zeros(x.shape[0])

    def inverse(self, y, condition):
        return y[..., torch.argsort(self["index"].long())], y.new_zeros(y.shape[0])


class Scaling(Piece):
    def forward(self, x, condition):
        return x * torch.exp(self["logs"]), self["logs"].sum().expand(x.shape[0])

    def inverse(self, y, condition):
        return y * torch.exp(-self["logs"]), self["logs"].sum().expand(y.shape[0])


class Standardise(Piece):
    def log_det(self, x):
        size = -torch.log(self["deviation"]).sum()
        return x.shape[1] * x.shape[2] * size.expand(x.shape[0])

    def forward(self, x, condition):
        return (x - self["mean"]) / self["deviation"], self.log_det(x)

    def inverse(self, y, condition):
        return y * self["deviation"] + self["mean"], self.log_det(y)


class Batchnorm(Piece):
    def variance(self):
        return self["var"] + self.options.get("epsilon", 1e-4)

    def log_det(self, x):
        size = -0.5 * torch.log(self.variance()).sum()
        return x.shape[1] * x.shape[2] * size.expand(x.shape[0])

    def forward(self, x, condition):
        return (x - self["mean"]) / torch.sqrt(self.variance()), self.log_det(x)

    def inverse(self, y, condition):
        return y * torch.sqrt(self.variance()) + self["mean"], self.log_det(y)


class Squeeze(Piece):
    def forward(self, x, condition):
        n, h, w, c = x.shape
        y = x.reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 5, 2, 4)
        return y.reshape(n, h // 2, w // 2, 4 * c), x.new_zeros(n)

    def inverse(self, y, condition):
        n, h, w, c = y.shape
        x = y.reshape(n, h, w, c // 4, 2, 2).permute(0, 1, 4, 2, 5, 3)
        return x.reshape(n, 2 * h, 2 * w, c // 4), y.new_zeros(n)


class Flatten(Piece):
    def forward(self, x, condition):
        return x.reshape(x.shape[0], 1, 1, -1), x.new_zeros(x.shape[0])

    def inverse(self, y, condition):
        return y.reshape(y.shape[0], *self.model.shapes[self.prefix]), y.new_zeros(y.shape[0])


class Logit(Piece):
    """Inside [-1/2, 1/2] alone; beyond, libglow goes on along the tangent."""

    def log_det(self, p):
        a = self.options.get("alpha", 0.05)
        return per_sample(math.log(1 - 2 * a) - torch.log(p) - torch.log(1 - p))

    def forward(self, x, condition):
        a = self.options.get("alpha", 0.05)
        p = a + (1 - 2 * a) * (x + 0.5)
        return torch.log(p) - torch.log(1 - p), self.log_det(p)

    def inverse(self, y, condition):
        a, p = self.options.get("alpha", 0.05), torch.sigmoid(y)
        assert a <= p.min() and p.max() <= 1 - a, "data beyond the range of the logit"
        return (p - a) / (1 - 2 * a) - 0.5, self.log_det(p)


class Halves(Piece):
    """What couplings share: the net sees x1 and decides how x2 changes."""

    def __init__(self, model, prefix, options):
        super().__init__(model, prefix, options)
        self.net = NETS[options.get("net", "conv")](model, prefix + "net.", options)

    def is_x2(self, x):
        """1 where elements change: [H, W, C]."""
        height, width, channels = x.shape[1:]
        mask, invert = self.options.get("mask", "channels"), self.options.get("invert", 0)
        if mask == "checkerboard":
            rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
            changes = ((rows + columns) % 2 == (1 if invert else 0))[:, :, None]
            return changes.expand(height, width, channels)
        changes = torch.zeros(channels, dtype=torch.bool)
        if mask == "indices":
            listed = torch.tensor([int(i) for i in self.options["indices"].split(",")])
            changes[:] = not invert
            changes[listed] = bool(invert)
        elif invert:
            changes[:channels // 2] = True
        else:
            changes[channels - channels // 2:] = True
        return changes.expand(height, width, channels)

    def raw(self, x, condition, each):
        """The net's output [N, H, W, changing channels, each], each = numbers of an element."""
        changes = self.is_x2(x)
        if self.options.get("mask", "channels") == "checkerboard":
            out = self.net(torch.where(changes, torch.zeros_like(x), x), condition,
                           each * x.shape[3])
            return out
        stays = ~changes[0, 0]
        order = torch.arange(x.shape[3])[stays]
        if self.options.get("mask") == "indices" and not self.options.get("invert", 0):
            order = torch.tensor([int(i) for i in self.options["indices"].split(",")])
        return self.net(x[..., order], condition, each * int(changes[0, 0].sum()))

    def split(self, x):
        """x2 and the function that puts another in its place."""
        changes = self.is_x2(x)
        if self.options.get("mask", "channels") == "checkerboard":
            return x, lambda x2: torch.where(changes, x2, x)
        index = torch.arange(x.shape[3])[changes[0, 0]]
        return x[..., index], lambda x2: x.index_copy(3, index, x2)

    def total(self, x, log_scale):
        """Log-det: of the elements that change."""
        if self.options.get("mask", "channels") == "checkerboard":
            log_scale = torch.where(self.is_x2(x), log_scale, torch.zeros_like(log_scale))
        return per_sample(log_scale)


class Coupling(Halves):
    def shift_and_log_scale(self, x, condition):
        if self.options.get("kind", "affine") == "additive":
            shift = self.raw(x, condition, 1)
            return shift, torch.zeros_like(shift)
        shift, raw = self.raw(x, condition, 2).chunk(2, 3)
        kind = self.options.get("scale", "sigmoid")
        if kind == "sigmoid":
            return shift, F.logsigmoid(raw + 2)
        if kind == "exp":
            return shift, raw
        if kind == "tanh":
            return shift, 2 * torch.tanh(raw / 2)
        if kind == "tanh_learned":
            return shift, self["scale"] * torch.tanh(raw)
        floor = self.options.get("floor", 0.05)
        return shift, torch.log(floor + (1 - floor) * torch.sigmoid(raw + 2))

    def forward(self, x, condition):
        shift, logs = self.shift_and_log_scale(x, condition)
        x2, put = self.split(x)
        if self.options.get("order", "shift_scale") == "shift_scale":
            y2 = (x2 + shift) * torch.exp(logs)
        else:
            y2 = x2 * torch.exp(logs) + shift
        return put(y2), self.total(x, logs)

    def inverse(self, y, condition):
        shift, logs = self.shift_and_log_scale(y, condition)
        y2, put = self.split(y)
        if self.options.get("order", "shift_scale") == "shift_scale":
            x2 = y2 * torch.exp(-logs) - shift
        else:
            x2 = (y2 - shift) * torch.exp(-logs)
        return put(x2), self.total(y, logs)


class SplineCoupling(Halves):
    """Rational-quadratic splines (Durkan et al. 2019, section 3.1)."""

    def is_x2(self, x):
        channels = x.shape[3]
        changes = torch.zeros(channels, dtype=torch.bool)
        if self.options.get("parity", 0):
            changes[:channels // 2 if channels > 1 else 1] = True
        else:
            changes[channels - max(1, channels // 2):] = True
        return changes.expand(x.shape[1], x.shape[2], channels)

    def knots(self, raw, smallest):
        bins, bound = raw.shape[-1], self.options.get("bound", 4.0)
        size = 2 * bound * (smallest + (1 - bins * smallest) * torch.softmax(raw, -1))
        at = torch.cumsum(size, -1) - bound
        return size, torch.cat([torch.full_like(at[..., :1], -bound), at[..., :-1],
                                torch.full_like(at[..., :1], bound)], -1)

    def bins_of(self, x, condition, v, by_height):
        """The values of each element's bin: v are the elements that change, before or after."""
        bins, o = self.options.get("bins", 8), self.options
        raw = self.raw(x, condition, 3 * bins - 1).reshape(*v.shape, 3 * bins - 1)
        width, x_knots = self.knots(raw[..., :bins], o.get("min_width", 1e-3))
        height, y_knots = self.knots(raw[..., bins:2 * bins], o.get("min_height", 1e-3))
        least = o.get("min_derivative", 1e-3)
        slope = least + F.softplus(raw[..., 2 * bins:] + math.log(math.exp(1 - least) - 1))
        slope = F.pad(slope, (1, 1), value=1.0)
        knots = y_knots if by_height else x_knots
        k = torch.searchsorted(knots[..., 1:-1].detach().contiguous(), v.detach()[..., None],
                               right=True)
        pick = lambda values: torch.gather(values, -1, k)[..., 0]
        return (pick(x_knots), pick(y_knots), pick(width), pick(height), pick(slope),
                pick(slope[..., 1:]))

    @staticmethod
    def log_slope(t, s, d0, d1):
        """log dy/dx at t in [0, 1] of a bin, (5)."""
        below = s + (d1 + d0 - 2 * s) * t * (1 - t)
        return torch.log(s ** 2 * (d1 * t ** 2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2)
                         / below ** 2)

    def forward(self, x, condition):
        x2, put = self.split(x)
        inside = x2.abs() <= self.options.get("bound", 4.0)
        v = torch.where(inside, x2, torch.zeros_like(x2))
        xk, yk, w, h, d0, d1 = self.bins_of(x, condition, v, False)
        t, s = (v - xk) / w, h / w
        y2 = yk + h * (s * t ** 2 + d0 * t * (1 - t)) / (s + (d1 + d0 - 2 * s) * t * (1 - t))
        logs = torch.where(inside, self.log_slope(t, s, d0, d1), torch.zeros_like(t))
        return put(torch.where(inside, y2, x2)), per_sample(logs)

    def inverse(self, y, condition):
        y2, put = self.split(y)
        inside = y2.abs() <= self.options.get("bound", 4.0)
        v = torch.where(inside, y2, torch.zeros_like(y2))
        xk, yk, w, h, d0, d1 = self.bins_of(y, condition, v, True)
        s, r = h / w, v - yk
        a = h * (s - d0) + r * (d1 + d0 - 2 * s)
        b = h * d0 - r * (d1 + d0 - 2 * s)
        c = -s * r
        t = 2 * c / (-b - torch.sqrt(b ** 2 - 4 * a * c))
        logs = torch.where(inside, self.log_slope(t, s, d0, d1), torch.zeros_like(t))
        return put(torch.where(inside, xk + t * w, y2)), per_sample(logs)


# ---- layers that emit latents --------------------------------------------------------------------

class Split(Piece):
    def stays(self, x):
        return x[..., :x.shape[3] // 2]

    def leaves(self, x):
        return x[..., x.shape[3] // 2:]

    def join(self, y, z):
        return torch.cat([y, z], 3)

    def distribution(self, stays, z_shape, labels):
        if self.options.get("fixed", 0):
            return stays.new_zeros(z_shape), stays.new_zeros(z_shape)
        return zero_conv(self, stays, "prior.").chunk(2, 3)

    density = staticmethod(gaussian)


class Prior(Piece):
    def stays(self, x):
        return None

    def leaves(self, x):
        return x

    def join(self, y, z):
        return z

    def distribution(self, stays, z_shape, labels):
        mean = logs = torch.zeros(z_shape, dtype=torch.float64)
        if self.has("mean"):
            mean, logs = mean + self["mean"], logs + self["logs"]
        if self.has("class_mean"):
            mean = mean + self["class_mean"][labels][:, None, None]
            logs = logs + self["class_logs"][labels][:, None, None]
        return mean, logs

    def density(self, z, mean, logs):
        kind = self.options.get("density", "gaussian")
        return (logistic if kind == "logistic" else gaussian)(z, mean, logs)


LAYERS = {"actnorm": Actnorm, "invconv": Invconv, "permute": Permute, "scaling": Scaling,
          "standardise": Standardise, "batchnorm": Batchnorm, "squeeze": Squeeze,
          "flatten": Flatten, "logit": Logit, "coupling": Coupling,
          "spline_coupling": SplineCoupling, "split": Split, "prior": Prior}
EMITTING = (Split, Prior)


class Model:
    def __init__(self, path):
        arrays, metadata = read_tensors(path)
        architecture = json.loads(metadata["glow.model"])
        self.tensors = {name: torch.tensor(array, dtype=torch.int64 if array.dtype == np.int32
                                           else torch.float64) for name, array in arrays.items()}
        self.layers = [LAYERS[layer["type"]](self, layer["name"] + ".", layer["options"])
                       for layer in architecture["layers"]]
        self.input = architecture["input"]
        self.blocks, self.shapes = [], {}
        self.find_shapes()

    def find_shapes(self):
        """Shapes of the blocks of latents, and of what comes to each layer."""
        shape = list(self.input)
        for layer in self.layers:
            self.shapes[layer.prefix] = list(shape)
            if isinstance(layer, Squeeze):
                shape = [shape[0] // 2, shape[1] // 2, 4 * shape[2]]
            elif isinstance(layer, Flatten):
                shape = [1, 1, math.prod(shape)]
            elif isinstance(layer, Split):
                self.blocks.append([shape[0], shape[1], shape[2] - shape[2] // 2])
                shape[2] //= 2
            elif isinstance(layer, Prior):
                self.blocks.append(list(shape))

    def condition_shape(self):
        """[height, width, channels] of the condition, or None."""
        for layer in self.layers:
            o = layer.options
            channels = o.get("net.context", 0) or o.get("net.condition_channels", 0)
            if channels:
                return [o.get("net.condition_height", 1), o.get("net.condition_width", 1), channels]
        return None

    def forward(self, x, labels=None, condition=None):
        """(raw latents [N, dims], whitened latents, log-det, log-density)."""
        log_det = log_prior = torch.zeros(x.shape[0], dtype=torch.float64)
        raw, whitened = [], []
        for layer in self.layers:
            if isinstance(layer, EMITTING):
                z, x = layer.leaves(x), layer.stays(x)
                mean, logs = layer.distribution(x, z.shape, labels)
                log_prior = log_prior + per_sample(layer.density(z, mean, logs))
                raw.append(z.reshape(z.shape[0], -1))
                whitened.append(((z - mean) * torch.exp(-logs)).reshape(z.shape[0], -1))
            else:
                x, d = layer.forward(x, condition)
                log_det = log_det + d
        return torch.cat(raw, 1), torch.cat(whitened, 1), log_det, log_det + log_prior

    def inverse(self, latents, labels=None, condition=None, whitened=False):
        """(x, log|det dx / d raw latents|, log-density of x)."""
        sizes = [math.prod(shape) for shape in self.blocks]
        parts = [p.reshape(-1, *s) for p, s in zip(latents.split(sizes, 1), self.blocks)]
        log_det = log_prior = torch.zeros(latents.shape[0], dtype=torch.float64)
        x = None
        for layer in reversed(self.layers):
            if isinstance(layer, EMITTING):
                z = parts.pop()
                mean, logs = layer.distribution(x, z.shape, labels)
                z = mean + torch.exp(logs) * z if whitened else z
                log_prior = log_prior + per_sample(layer.density(z, mean, logs))
                x = layer.join(x, z)
            else:
                x, d = layer.inverse(x, condition)
                log_det = log_det + d
        return x, -log_det, log_prior + log_det
