"""An independent Glow in PyTorch (float64 by default), written from the paper's
equations.  It is the numerical authority for libglow: same parameter names and
shapes as libglow's files, arrays handed over as NHWC.

Conventions (docs/conventions.md):
  squeeze        channel index c*4 + dy*2 + dx
  actnorm        y = (x + bias) * exp(logs)                logdet = H*W*sum(logs)
  invconv        y[o] = sum_i W[o,i] x[i]                  logdet = H*W*log|det W|
  coupling       first half passes, second half is changed: y2 = (x2 + shift) * scale
                 net output split in halves: shift = first C/2, raw scale = last C/2
                 scale = sigmoid(raw + 2) | exp(raw) | exp(2*tanh(raw/2))
  zero conv      y = (conv(x) + bias) * exp(3*logs)
  split          keeps the first half, the second is Gaussian given the first
                 (mean, logs = halves of a zero conv)
  top prior      mean, logs [2C], broadcast over H, W (learned or zero);
                 class conditioning adds a row of a [n_y, 2C] table

SPDX-License-Identifier: MIT
"""
import json
import math
import struct

import numpy as np
import torch
import torch.nn.functional as F

LOG2PI = math.log(2 * math.pi)


class Glow:
    def __init__(
        self,
        h,
        w,
        c,
        levels,
        depth,
        width,
        permutation="invconv",
        coupling="affine",
        scale="sigmoid",
        learn_top=True,
        n_classes=0,
        net_actnorm=True,
        seed=0,
        dtype=torch.float64,
    ):
        self.cfg = dict(
            height=h,
            width=w,
            channels=c,
            levels=levels,
            depth=depth,
            hidden=width,
            permutation=permutation,
            coupling=coupling,
            scale=scale,
            learn_top=learn_top,
            n_classes=n_classes,
            net_actnorm=net_actnorm,
        )
        self.p, self.dtype, self.perm = {}, dtype, {}
        rng = np.random.RandomState(seed)

        def t(a):
            return torch.tensor(np.asarray(a, np.float32), dtype=dtype)

        C = c
        for l in range(levels):
            C *= 4
            for k in range(depth):
                n = f"level{l}.step{k}."
                self.p[n + "actnorm.bias"] = t(np.zeros(C))
                self.p[n + "actnorm.logs"] = t(np.zeros(C))
                if permutation == "invconv":
                    self.p[n + "invconv.weight"] = t(np.linalg.qr(rng.randn(C, C))[0])
                elif permutation == "invconv_lu":
                    P, L, U = (
                        v.numpy()
                        for v in torch.linalg.lu(torch.tensor(np.linalg.qr(rng.randn(C, C))[0]))
                    )
                    s = np.diag(U)
                    self.perm[n + "invconv.perm"] = torch.tensor(np.argmax(P, axis=1))
                    self.perm[n + "invconv.sign_s"] = t(np.sign(s))
                    self.p[n + "invconv.lower"] = t(np.tril(L, -1))
                    self.p[n + "invconv.upper"] = t(np.triu(U, 1))
                    self.p[n + "invconv.log_s"] = t(np.log(np.abs(s)))
                elif permutation == "shuffle":
                    self.perm[n + "permute.index"] = torch.tensor(rng.permutation(C))
                elif permutation == "reverse":
                    self.perm[n + "permute.index"] = torch.tensor(np.arange(C)[::-1].copy())
                out = C if coupling == "affine" else C // 2
                m = n + "coupling.net."
                self.p[m + "conv1.weight"] = t(rng.randn(width, C // 2, 3, 3) * 0.05)
                self.p[m + "conv2.weight"] = t(rng.randn(width, width, 1, 1) * 0.05)
                for a in ("norm1", "norm2"):
                    if net_actnorm:
                        self.p[m + a + ".bias"] = t(np.zeros(width))
                        self.p[m + a + ".logs"] = t(np.zeros(width))
                if not net_actnorm:
                    self.p[m + "conv1.bias"] = t(np.zeros(width))
                    self.p[m + "conv2.bias"] = t(np.zeros(width))
                self.p[m + "conv3.weight"] = t(np.zeros((out, width, 3, 3)))
                self.p[m + "conv3.bias"] = t(np.zeros(out))
                self.p[m + "conv3.logs"] = t(np.zeros(out))
            if l < levels - 1:
                n = f"level{l}.split.prior."
                self.p[n + "weight"] = t(np.zeros((C, C // 2, 3, 3)))
                self.p[n + "bias"] = t(np.zeros(C))
                self.p[n + "logs"] = t(np.zeros(C))
                C //= 2
        self.top = (C, h >> levels, w >> levels)
        if learn_top:
            self.p["prior.mean"] = t(np.zeros(C))
            self.p["prior.logs"] = t(np.zeros(C))
        if n_classes:
            self.p["prior.class_mean"] = t(np.zeros((n_classes, C)))
            self.p["prior.class_logs"] = t(np.zeros((n_classes, C)))

    def perturb(self, std, seed=1):
        """Moves every parameter off its initial value, so that no term is trivially zero."""
        rng = np.random.RandomState(seed)
        for k in sorted(self.p):
            v = self.p[k]
            self.p[k] = v + torch.tensor(
                (rng.randn(*v.shape) * std).astype(np.float32), dtype=self.dtype
            )

    def requires_grad(self):
        for v in self.p.values():
            v.requires_grad_(True)

    # --- pieces -------------------------------------------------------------------------------
    def _norm(self, n, x, init):
        b, s = self.p[n + ".bias"], self.p[n + ".logs"]
        if init:
            with torch.no_grad():
                mu = x.mean(dim=(0, 2, 3))
                sd = ((x - mu.view(1, -1, 1, 1)) ** 2).mean(dim=(0, 2, 3)).sqrt()
                b.copy_(-mu)
                s.copy_(-torch.log(sd + 1e-6))
        return (x + b.view(1, -1, 1, 1)) * torch.exp(s).view(1, -1, 1, 1), s

    def _zero_conv(self, n, x):
        y = F.conv2d(x, self.p[n + "weight"], self.p[n + "bias"], padding=1)
        return y * torch.exp(3 * self.p[n + "logs"]).view(1, -1, 1, 1)

    def _net(self, n, x, init):
        if self.cfg["net_actnorm"]:
            h = F.relu(
                self._norm(n + "norm1", F.conv2d(x, self.p[n + "conv1.weight"], padding=1), init)[0]
            )
            h = F.relu(self._norm(n + "norm2", F.conv2d(h, self.p[n + "conv2.weight"]), init)[0])
        else:
            h = F.relu(F.conv2d(x, self.p[n + "conv1.weight"], self.p[n + "conv1.bias"], padding=1))
            h = F.relu(F.conv2d(h, self.p[n + "conv2.weight"], self.p[n + "conv2.bias"]))
        return self._zero_conv(n + "conv3.", h)

    def _mix(self, n):
        if self.cfg["permutation"] == "invconv":
            W = self.p[n + "invconv.weight"]
            return W, torch.linalg.slogdet(W)[1]
        if self.cfg["permutation"] == "invconv_lu":
            L = torch.tril(self.p[n + "invconv.lower"], -1)
            C = L.shape[0]
            L = L + torch.eye(C, dtype=self.dtype)
            s = self.perm[n + "invconv.sign_s"] * torch.exp(self.p[n + "invconv.log_s"])
            U = torch.triu(self.p[n + "invconv.upper"], 1) + torch.diag(s)
            return (L @ U)[self.perm[n + "invconv.perm"]], self.p[n + "invconv.log_s"].sum()
        W = torch.eye(len(self.perm[n + "permute.index"]), dtype=self.dtype)[
            self.perm[n + "permute.index"]
        ]
        return W, torch.zeros((), dtype=self.dtype)

    def _scale(self, raw):
        s = self.cfg["scale"]
        if s == "sigmoid":
            return torch.sigmoid(raw + 2), F.logsigmoid(raw + 2)
        if s == "exp":
            return torch.exp(raw), raw
        return torch.exp(2 * torch.tanh(raw / 2)), 2 * torch.tanh(raw / 2)

    @staticmethod
    def _gauss(x, mean, logs):
        return (-0.5 * (2 * logs + (x - mean) ** 2 * torch.exp(-2 * logs) + LOG2PI)).sum(
            dim=(1, 2, 3)
        )

    def _top(self, n, y):
        C, H, W = self.top
        mean = self.p["prior.mean"] if self.cfg["learn_top"] else torch.zeros(C, dtype=self.dtype)
        logs = self.p["prior.logs"] if self.cfg["learn_top"] else torch.zeros(C, dtype=self.dtype)
        mean, logs = mean.expand(n, C), logs.expand(n, C)
        if self.cfg["n_classes"]:
            mean = mean + self.p["prior.class_mean"][y]
            logs = logs + self.p["prior.class_logs"][y]
        return mean[:, :, None, None].expand(n, C, H, W), logs[:, :, None, None].expand(n, C, H, W)

    # --- the flow -----------------------------------------------------------------------------
    def forward(self, x, y=None, init=False):
        """x [N,H,W,C] -> (latents, coarse last; logdet [N]; log_prob [N]), not dequantised."""
        x = x.permute(0, 3, 1, 2)
        N = x.shape[0]
        logdet = torch.zeros(N, dtype=self.dtype)
        logp = torch.zeros(N, dtype=self.dtype)
        zs = []
        for l in range(self.cfg["levels"]):
            n_, c_, h_, w_ = x.shape
            x = (
                x.reshape(n_, c_, h_ // 2, 2, w_ // 2, 2)
                .permute(0, 1, 3, 5, 2, 4)
                .reshape(n_, c_ * 4, h_ // 2, w_ // 2)
            )
            px = x.shape[2] * x.shape[3]
            for k in range(self.cfg["depth"]):
                n = f"level{l}.step{k}."
                x, s = self._norm(n + "actnorm", x, init)
                logdet = logdet + px * s.sum()
                W, ld = self._mix(n)
                x = F.conv2d(x, W[:, :, None, None])
                logdet = logdet + px * ld
                a, b = x.chunk(2, 1)
                h = self._net(n + "coupling.net.", a, init)
                if self.cfg["coupling"] == "affine":
                    shift, raw = h.chunk(2, 1)
                    sc, logsc = self._scale(raw)
                    b = (b + shift) * sc
                    logdet = logdet + logsc.sum(dim=(1, 2, 3))
                else:
                    b = b + h
                x = torch.cat((a, b), 1)
            if l < self.cfg["levels"] - 1:
                x, z = x.chunk(2, 1)
                mean, logs = self._zero_conv(f"level{l}.split.prior.", x).chunk(2, 1)
                logp = logp + self._gauss(z, mean, logs)
                zs.append(z.permute(0, 2, 3, 1))
        mean, logs = self._top(N, y)
        logp = logp + self._gauss(x, mean, logs)
        zs.append(x.permute(0, 2, 3, 1))
        return zs, logdet, logp + logdet

    def inverse(self, zs, y=None):
        x = zs[-1].permute(0, 3, 1, 2)
        for l in reversed(range(self.cfg["levels"])):
            if l < self.cfg["levels"] - 1:
                x = torch.cat((x, zs[l].permute(0, 3, 1, 2)), 1)
            for k in reversed(range(self.cfg["depth"])):
                n = f"level{l}.step{k}."
                a, b = x.chunk(2, 1)
                h = self._net(n + "coupling.net.", a, False)
                if self.cfg["coupling"] == "affine":
                    shift, raw = h.chunk(2, 1)
                    b = b / self._scale(raw)[0] - shift
                else:
                    b = b - h
                x = torch.cat((a, b), 1)
                x = F.conv2d(x, torch.linalg.inv(self._mix(n)[0])[:, :, None, None])
                x = x * torch.exp(-self.p[n + "actnorm.logs"]).view(1, -1, 1, 1) - self.p[
                    n + "actnorm.bias"
                ].view(1, -1, 1, 1)
            n_, c_, h_, w_ = x.shape
            x = (
                x.reshape(n_, c_ // 4, 2, 2, h_, w_)
                .permute(0, 1, 4, 2, 5, 3)
                .reshape(n_, c_ // 4, h_ * 2, w_ * 2)
            )
        return x.permute(0, 2, 3, 1)


def bits_per_dim(log_prob, dims, n_bins):
    """log_prob is the density of x in [-0.5, 0.5) with bins of width 1/n_bins."""
    return (-log_prob / dims + math.log(n_bins)) / math.log(2)


def save_safetensors(path, tensors, metadata=None):
    header, blobs, off = {}, [], 0
    names = {"float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "uint8": "U8"}
    if metadata:
        header["__metadata__"] = {
            k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()
        }
    for k, v in tensors.items():
        a = np.ascontiguousarray(v.detach().numpy() if isinstance(v, torch.Tensor) else v)
        header[k] = dict(
            dtype=names[str(a.dtype)], shape=list(a.shape), data_offsets=[off, off + a.nbytes]
        )
        blobs.append(a.tobytes())
        off += a.nbytes
    h = json.dumps(header).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h)
        for b in blobs:
            f.write(b)


def load_safetensors(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        h = json.loads(f.read(n))
        data = f.read()
    dt = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1", "BF16": "<u2"}
    out = {
        k: np.frombuffer(data[v["data_offsets"][0] : v["data_offsets"][1]], dt[v["dtype"]]).reshape(
            v["shape"]
        )
        for k, v in h.items()
        if k != "__metadata__"
    }
    return out, h.get("__metadata__", {})
