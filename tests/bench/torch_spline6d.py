"""The spline flow of glow-bench in zuko and in nflows: log-density, sampling, and a training step,
in seconds.

    python3 torch_spline6d.py [--batches 1,16384] [--train 512] [--threads 2] [--repeat 5]

Eight rational-quadratic couplings in 6 dimensions, 8 bins, nets of two hidden layers of 64, a
standard normal prior. The couplings take turns with the two halves and nothing lies between them,
which is the fastest that both libraries have: glow-bench's flow has an actnorm and a learned mixing
in front of each coupling. A training step is one of Adam on the mean of -log-density. Best of
`repeat` runs of 0.2 seconds after one that is not counted; a library that is not installed is left
out. SPDX-License-Identifier: MIT
"""
import argparse
import json
import math
import time

import torch

arguments = argparse.ArgumentParser()
arguments.add_argument("--batches", default="1,16384")
arguments.add_argument("--train", type=int, default=512)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--repeat", type=int, default=5)
options = arguments.parse_args()
torch.set_num_threads(options.threads)

COUPLINGS, DIMS, HIDDEN, BINS, BOUND = 8, 6, 64, 8, 4.0


class Zuko:
    def __init__(self):
        from functools import partial

        import zuko

        splines = partial(zuko.transforms.MonotonicRQSTransform, bound=BOUND)
        self.flow = zuko.flows.Flow(
            [
                zuko.flows.coupling.GeneralCouplingTransform(
                    DIMS,
                    mask=(torch.arange(DIMS) < DIMS // 2) ^ bool(i % 2),
                    univariate=splines,
                    shapes=[(BINS,), (BINS,), (BINS - 1,)],
                    hidden_features=(HIDDEN, HIDDEN),
                )
                for i in range(COUPLINGS)
            ],
            zuko.flows.UnconditionalDistribution(
                zuko.distributions.DiagNormal, torch.zeros(DIMS), torch.ones(DIMS), buffer=True
            ),
        )

    def log_prob(self, x):
        return self.flow().log_prob(x)

    def sample(self, count):
        return self.flow().sample((count,))


class Nflows:
    def __init__(self):
        from nflows import distributions, flows, transforms
        from torch import nn

        class Net(nn.Sequential):  # as plain as the other's; nflows' own are residual
            def forward(self, x, context=None):
                return super().forward(x)

        def net(inputs, outputs):
            return Net(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                       nn.Linear(HIDDEN, outputs))

        self.flow = flows.Flow(
            transforms.CompositeTransform([
                transforms.PiecewiseRationalQuadraticCouplingTransform(
                    (torch.arange(DIMS) < DIMS // 2) ^ bool(i % 2), net, num_bins=BINS,
                    tails="linear", tail_bound=BOUND)
                for i in range(COUPLINGS)
            ]),
            distributions.StandardNormal([DIMS]),
        )

    def log_prob(self, x):
        return self.flow.log_prob(x)

    def sample(self, count):
        return self.flow.sample(count)


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


def measure(name, library, out):
    with torch.no_grad():
        for batch in map(int, options.batches.split(",")):
            data = torch.rand(batch, DIMS) - 0.5
            out[f"{name}_eval_{batch}_s"] = seconds(lambda: library.log_prob(data))
            out[f"{name}_sample_{batch}_s"] = seconds(lambda: library.sample(batch))
    data = torch.rand(options.train, DIMS) - 0.5
    adam = torch.optim.Adam(library.flow.parameters(), lr=1e-4)

    def step():
        adam.zero_grad()
        (-library.log_prob(data).mean()).backward()
        adam.step()

    out[f"{name}_train_{options.train}_s"] = seconds(step)


out = {}
for name, make in ("zuko", Zuko), ("nflows", Nflows):
    torch.manual_seed(0)
    try:
        library = make()
    except ImportError:
        continue
    measure(name, library, out)
print(json.dumps(out))
