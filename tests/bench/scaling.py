"""The model of training over ranks of docs/scaling.md, and that page's tables.

    python3 scaling.py                 prints the tables
    python3 scaling.py --check PAGE    fails if a table of the page is not what is printed

Times are in seconds, amounts in bytes, rates in bits per second. SPDX-License-Identifier: MIT
"""

import math
import sys

BUCKET = 4 << 20  # bytes of float32: the default of glow_collective_options


class Net:
    """A Glow of the paper: gradients and multiply-adds of its levels, finest first."""

    def __init__(self, name, size, levels, depth, hidden, coupling, parameters):
        self.name = name
        self.parameters = parameters
        weights, macs = [], []
        for level in range(levels):
            channels, pixels = 12 << level, (size >> (level + 1)) ** 2
            out = channels if coupling == "affine" else channels // 2
            step = hidden * (9 * channels // 2 + hidden + 9 * out)
            weights.append(depth * step)
            macs.append(depth * step * pixels)
        self.macs = sum(macs)
        self.time_shares = [m / self.macs for m in macs]
        self.weight_shares = [w / sum(weights) for w in weights]


CIFAR10 = Net("CIFAR-10", 32, 3, 32, 512, "affine", 44152272)
CELEBA = Net("CelebA-HQ 256", 256, 6, 32, 512, "additive", 175100688)


class Node:
    """Measured with `glow-bench --what train`: a step of b images takes b * image + fixed.

    `flops` are those of the products. What is fixed (update, norm, packing) is of the parameters.
    """

    def __init__(self, name, flops, fixed):
        self.name, self.flops, self.fixed = name, flops, fixed

    def image(self, net):
        return 6 * net.macs / self.flops  # forward 2 for each multiply-add, backward 4

    def alone(self, net, batch):
        return batch * self.image(net) + self.fixed * net.parameters


class Link:
    def __init__(self, rate, delay):
        self.rate, self.delay = rate, delay


def rounds(ranks):
    """Messages one after the other in a sum: Rabenseifner's algorithm."""
    power = int(math.log2(ranks))
    return 2 * power + (0 if 1 << power == ranks else 3)


def sent(ranks):
    """Bytes that the busiest rank sends, for each byte that is summed."""
    power = 1 << int(math.log2(ranks))
    return 2 * (power - 1) / power + (0 if power == ranks else 2)


def ready(net, part):
    """When this part of the gradients, from the model's end, is final: a part of backward."""
    time = 0.0
    for level in reversed(range(len(net.weight_shares))):
        weight = net.weight_shares[level]
        if part <= weight:
            return time + net.time_shares[level] * part / weight
        part -= weight
        time += net.time_shares[level]
    return 1.0


def sums_end(net, ranks, link, backward, element):
    """From the start of backward to the end of the last sum. The buckets share the link."""
    total = net.parameters * 4
    buckets = math.ceil(total / BUCKET)
    end = 0.0
    for i in range(buckets):
        first, last = i * BUCKET, min((i + 1) * BUCKET, total)
        begun = backward * ready(net, last / total)
        end = max(begun, end) + sent(ranks) * (last - first) * element / 4 * 8 / link.rate
    return end + rounds(ranks) * link.delay


def step(net, ranks, link, compute, backward, element=4):
    """Seconds of a step, without and with the network, of which `backward` can hide sums."""
    small = 3 * rounds(ranks) * link.delay  # what ranks tell each other before and after
    return compute - backward + max(backward, sums_end(net, ranks, link, backward, element)) + small


# ---- the tables ----------------------------------------------------------------------------------

# Two cores of a Xeon with AVX-512 whose peak is 433 GFLOP/s: batch 16 reaches 0.553 of it, batch 4
# 0.447. The other node is 16 such cores, which train at 0.87 of 8 times the speed (performance.md).
TWO = Node("2 cores", 0.60 * 433e9, 0.127 / CIFAR10.parameters)
SIXTEEN = Node("16 cores", 8 * 0.87 * TWO.flops, TWO.fixed / (8 * 0.87))
DELAY = 30e-6  # one message over TCP and a switch
# Processor time of a byte that is sent: copied to the kernel and from it, and added; on one thread,
# while the others wait. By perf, over TCP on this machine: 0.107 s for 177 MB.
HANDLING = 0.6e-9
NODES = 8, 40, 1000
RATES = 10e9, 100e9


def efficiency(net, node, ranks, link, batch, micro, element):
    alone = node.alone(net, batch)
    backward = 2 / 3 * min(batch, micro) * node.image(net)
    handling = HANDLING * sent(ranks) * net.parameters * element
    return alone / step(net, ranks, link, alone + handling, backward, element)


def least_batch(net, node, ranks, link, micro, element):
    """Images a node, the fewest from which the efficiency is 0.9."""
    batch = 1
    while efficiency(net, node, ranks, link, batch, micro, element) < 0.9:
        batch += 1
    return batch


def paper_table():
    lines = [
        "| model | batch | nodes | network | 2 cores | bfloat16 | 16 cores | bfloat16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for net, micro, batch in (CIFAR10, 1 << 20, 512), (CELEBA, 1, 40):
        for ranks in 8, 40:
            for rate in RATES:
                own = -(-batch // ranks)
                cells = [net.name, str(batch), str(ranks), f"{rate / 1e9:.0f} Gbit/s"]
                for node in TWO, SIXTEEN:
                    for element in 4, 2:
                        link = Link(rate, DELAY)
                        part = efficiency(net, node, ranks, link, own, micro, element)
                        cells.append(f"{part:.2f}")
                lines.append("| " + " | ".join(cells) + " |")
    return lines


def tables():
    """Each table is a list of lines."""
    yield paper_table()
    for net, micro in (CIFAR10, 1 << 20), (CELEBA, 1):
        lines = [
            f"| {net.name} | network | nodes | float32: a node | all | bfloat16: a node | all |",
            "|---|---|---|---|---|---|---|",
        ]
        for node in TWO, SIXTEEN:
            for rate in RATES:
                for ranks in NODES:
                    link = Link(rate, DELAY)
                    cells = [node.name, f"{rate / 1e9:.0f} Gbit/s", f"{ranks:,}"]
                    for element in 4, 2:
                        batch = least_batch(net, node, ranks, link, micro, element)
                        cells += [f"{batch:,}", f"{batch * ranks:,}"]
                    lines.append("| " + " | ".join(cells) + " |")
        yield lines


def check(path):
    with open(path) as file:
        page = file.read()
    missing = ["\n".join(lines) for lines in tables() if "\n".join(lines) not in page]
    for table in missing:
        print(f"{path} does not have this table:\n\n{table}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        sys.exit(check(sys.argv[2]))
    print("\n\n".join("\n".join(lines) for lines in tables()))
