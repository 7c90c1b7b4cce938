"""The 2-D flow of glow-bench in PyTorch: log-probability of a batch and sampling, in seconds.

    python3 torch_flow2d.py [--batches 1,16384] [--threads 2] [--repeat 5]

Eight affine couplings that take turns, y2 = x2 exp(tanh(raw)) + shift, nets of two hidden layers of
64, a standard normal prior; as plain as PyTorch lets one write it. Best of `repeat` runs of 0.2
seconds after one that is not counted. SPDX-License-Identifier: MIT
"""
import argparse
import json
import math
import time

import torch
from torch import nn

arguments = argparse.ArgumentParser()
arguments.add_argument("--batches", default="1,16384")
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--repeat", type=int, default=5)
options = arguments.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)

COUPLINGS, HIDDEN = 8, 64
nets = nn.ModuleList(
    nn.Sequential(nn.Linear(1, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                  nn.Linear(HIDDEN, 2))
    for _ in range(COUPLINGS))


def log_prob(x):
    """x: [batch, 2]."""
    a, b = x[:, :1], x[:, 1:]
    logdet = 0
    for net in nets:
        shift, raw = net(a).chunk(2, 1)
        log_s = torch.tanh(raw)
        a, b = b * torch.exp(log_s) + shift, a
        logdet = logdet + log_s.squeeze(1)
    return logdet - 0.5 * (a * a + b * b).squeeze(1) - math.log(2 * math.pi)


def sample(count):
    z = torch.randn(count, 2) * 0.7
    a, b = z[:, :1], z[:, 1:]
    for net in reversed(nets):
        shift, raw = net(b).chunk(2, 1)
        a, b = b, (a - shift) * torch.exp(-torch.tanh(raw))
    return torch.cat([a, b], 1)


def seconds(function):
    function()
    best = math.inf
    for _ in range(options.repeat):
        times, start = 0, time.perf_counter()
        while times == 0 or time.perf_counter() - start < 0.2:
            function()
            times += 1
        best = min(best, (time.perf_counter() - start) / times)
    return best


out = {}
with torch.no_grad():
    for batch in map(int, options.batches.split(",")):
        data = torch.rand(batch, 2) - 0.5
        out[f"eval_{batch}_s"] = seconds(lambda: log_prob(data))
        out[f"sample_{batch}_s"] = seconds(lambda: sample(batch))
print(json.dumps(out))
