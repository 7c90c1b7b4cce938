"""The Glow of glow-bench in PyTorch, timed on request: what compare.sh sets libglow beside.

    python3 torch_glow.py [--form eager|channels-last|compiled] [--bfloat16] [--levels 3]
                          [--depth 32] [--hidden 512] [--size 32] [--threads 2]

Each line of input, "eval 16", "sample 1" or "train 16", asks for one run on so many images: a
log-likelihood, samples, or a step of Adam. The answer is a line of JSON with its seconds and the
peak of the resident set; the first run of a kind is made once more before it, for what is compiled
or cached by it. "threads 4" sets the number of threads, and is answered by an empty object.

Written to be fast in PyTorch: 1x1 convolutions are inverted once and not in each draw, Adam is
fused where it can be, and what is compiled is one step of flow, which all steps of a level share.
--bfloat16 is CPU autocast. SPDX-License-Identifier: MIT
"""
import argparse
import contextlib
import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional

FORMS = ("eager", "channels-last", "compiled")
LOG_2PI = math.log(2 * math.pi)


class ZeroConv(nn.Module):
    """3x3 convolution that starts at zero, with a factor exp(3 logs) for each channel."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)
        self.logs = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x):
        return self.conv(x) * torch.exp(3 * self.logs)


class ActNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        return (x + self.bias) * torch.exp(self.logs)

    def inverse(self, y):
        return y * torch.exp(-self.logs) - self.bias


class Step(nn.Module):
    """Actnorm, 1x1 convolution, affine coupling with scale sigmoid(raw + 2)."""

    def __init__(self, channels, hidden):
        super().__init__()
        half = channels // 2
        self.norm = ActNorm(channels)
        self.mix = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])
        self.unmix = None
        self.net = nn.Sequential(
            nn.Conv2d(half, hidden, 3, padding=1, bias=False), ActNorm(hidden), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1, bias=False), ActNorm(hidden), nn.ReLU(),
            ZeroConv(hidden, channels))
        for layer in self.net:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.05)

    def forward(self, x):
        pixels = x.shape[2] * x.shape[3]
        x = functional.conv2d(self.norm(x), self.mix[:, :, None, None])
        a, b = x.chunk(2, 1)
        shift, raw = self.net(a).chunk(2, 1)
        logdet = pixels * (self.norm.logs.sum() + torch.linalg.slogdet(self.mix)[1])
        logdet = logdet + functional.logsigmoid(raw + 2).sum(dim=(1, 2, 3))
        return torch.cat((a, (b + shift) * torch.sigmoid(raw + 2)), 1), logdet

    def inverse(self, y):
        a, b = y.chunk(2, 1)
        shift, raw = self.net(a).chunk(2, 1)
        b = b / torch.sigmoid(raw + 2) - shift
        x = functional.conv2d(torch.cat((a, b), 1), self.unmix[:, :, None, None])
        return self.norm.inverse(x)


def log_gaussian(x, mean, logs):
    return -0.5 * (2 * logs + (x - mean) ** 2 * torch.exp(-2 * logs) + LOG_2PI).sum(dim=(1, 2, 3))


class Glow(nn.Module):
    def __init__(self, size, levels, depth, hidden):
        super().__init__()
        self.levels, self.priors, channels = nn.ModuleList(), nn.ModuleList(), 3
        for level in range(levels):
            channels *= 4
            self.levels.append(nn.ModuleList(Step(channels, hidden) for _ in range(depth)))
            if level < levels - 1:
                self.priors.append(ZeroConv(channels // 2, channels))
                channels //= 2
        self.top = nn.Parameter(torch.zeros(1, 2 * channels, 1, 1))
        self.shape = (channels, size >> levels, size >> levels)

    def log_prob(self, x):
        log_p = 0
        for level, steps in enumerate(self.levels):
            x = functional.pixel_unshuffle(x, 2)
            for step in steps:
                x, logdet = step(x)
                log_p = log_p + logdet
            if level < len(self.priors):
                x, z = x.chunk(2, 1)
                log_p = log_p + log_gaussian(z, *self.priors[level](x).chunk(2, 1))
        return log_p + log_gaussian(x, *self.top.chunk(2, 1))

    def draw(self, count):
        mean, logs = self.top.chunk(2, 1)
        x = mean + torch.exp(logs) * 0.7 * torch.randn(count, *self.shape)
        for level in reversed(range(len(self.levels))):
            if level < len(self.priors):
                mean, logs = self.priors[level](x).chunk(2, 1)
                x = torch.cat((x, mean + torch.exp(logs) * 0.7 * torch.randn_like(x)), 1)
            for step in reversed(self.levels[level]):
                x = step.inverse(x)
            x = functional.pixel_shuffle(x, 2)
        return x

    def invert_mixes(self):
        for steps in self.levels:
            for step in steps:
                step.unmix = torch.linalg.inv(step.mix.detach())


class Worker:
    def __init__(self, options):
        self.options = options
        self.model = Glow(options.size, options.levels, options.depth, options.hidden)
        if options.form != "eager":
            self.model = self.model.to(memory_format=torch.channels_last)
        if options.form == "compiled":
            Step.forward = torch.compile(Step.forward, dynamic=False)
            Step.inverse = torch.compile(Step.inverse, dynamic=False)
        parameters = list(self.model.parameters())
        self.count = sum(p.numel() for p in parameters)
        try:
            self.adam = torch.optim.Adam(parameters, lr=1e-4, fused=True)
        except (RuntimeError, TypeError):  # PyTorch before 2.4
            self.adam = torch.optim.Adam(parameters, lr=1e-4)
        self.seen = set()

    def products(self):
        return (torch.autocast("cpu", dtype=torch.bfloat16) if self.options.bfloat16
                else contextlib.nullcontext())

    def data(self, batch):
        x = torch.rand(batch, 3, self.options.size, self.options.size) - 0.5
        return x if self.options.form == "eager" else x.contiguous(
            memory_format=torch.channels_last)

    def eval(self, batch):
        x = self.data(batch)
        with torch.no_grad(), self.products():
            return self.timed(self.model.log_prob, x)

    def sample(self, batch):
        self.model.invert_mixes()
        with torch.no_grad(), self.products():
            return self.timed(self.model.draw, batch)

    def train(self, batch):
        return self.timed(self.step, self.data(batch))

    def step(self, x):
        self.adam.zero_grad(set_to_none=True)
        with self.products():
            loss = -self.model.log_prob(x).mean()
        loss.backward()
        self.adam.step()

    @staticmethod
    def timed(function, *arguments):
        start = time.perf_counter()
        function(*arguments)
        return time.perf_counter() - start

    def run(self, what, batch):
        if (what, batch) not in self.seen:
            getattr(self, what)(batch)
            self.seen.add((what, batch))
        return getattr(self, what)(batch)


def peak_mib():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--form", choices=FORMS, default="eager")
    parse.add_argument("--bfloat16", action="store_true")
    for name, value in dict(levels=3, depth=32, hidden=512, size=32, threads=2).items():
        parse.add_argument("--" + name, type=int, default=value)
    options = parse.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    worker = Worker(options)
    print(json.dumps(dict(torch=torch.__version__, parameters=worker.count)), flush=True)
    for line in sys.stdin:
        what, number = line.split()
        if what == "threads":
            torch.set_num_threads(int(number))
            print("{}", flush=True)
            continue
        seconds = worker.run(what, int(number))
        print(json.dumps(dict(seconds=seconds, peak_mib=round(peak_mib()))), flush=True)


main()
