#!/usr/bin/python3
"""Golden vectors of small Glow models, by the float64 reference in glow_reference.py.

    python3 make_vectors.py FOLDER [SEED_OFFSET [HEIGHT WIDTH CHANNELS LEVELS DEPTH HIDDEN BATCH]]
    python3 make_vectors.py --check FOLDER      compares those there with what it would write

Needs PyTorch and NumPy. Parameters and inputs are exact float32; what is computed from them is in
float64. The arrays of each file, NHWC where they are images:

    __metadata__.config   sizes, permutation, coupling, scale, learn_top, n_classes, net_actnorm
    x, y                  input in [-1/2, 1/2), already dequantised; labels
    fixed.*               permutations (y[c] = x[index[c]]), LU `perm` and `sign_s`
    built.*               parameters as constructed
    initialised.*         actnorms after initialisation on x
    param.*               the parameters of the pass below
    out.*                 latent{l}, logdet, log_prob (nats), bits_per_dim
    grad.*                gradient of mean bits/dim over the batch, by each parameter and by x
    adam.*                ten Adam steps from param.* on the same batch

affine_tanh_shuffle is ill-scaled on purpose (up to 144 bits/dim). SPDX-License-Identifier: MIT
"""
import os
import sys
import tempfile

import glow_reference as R
import numpy as np
import torch

CASES = {
    "affine_invconv": dict(
        permutation="invconv", coupling="affine", scale="sigmoid", learn_top=True
    ),
    "affine_lu": dict(permutation="invconv_lu", coupling="affine", scale="sigmoid", learn_top=True),
    "affine_exp_plain": dict(
        permutation="invconv", coupling="affine", scale="exp", learn_top=False, net_actnorm=False
    ),
    "affine_tanh_shuffle": dict(
        permutation="shuffle", coupling="affine", scale="tanh", learn_top=True
    ),
    "additive_reverse_classes": dict(
        permutation="reverse", coupling="additive", learn_top=True, n_classes=4
    ),
    "additive_lu": dict(permutation="invconv_lu", coupling="additive", learn_top=False),
}


def adam(g, x, y, steps, lr, dims, n_bins):
    opt = torch.optim.Adam(list(g.p.values()), lr=lr, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        _, _, lp = g.forward(x, y)
        loss = R.bits_per_dim(lp, dims, n_bins).mean()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


def main(out, off=0, h=8, w=8, c=3, levels=2, depth=2, width=10, n=4):
    os.makedirs(out, exist_ok=True)
    dims, n_bins = h * w * c, 256
    for i, (name, kw) in enumerate(CASES.items()):
        seed = 100 + i + off
        g = R.Glow(h, w, c, levels, depth, width, seed=seed, **kw)
        rng = np.random.RandomState(seed + 1000)
        x32 = (
            rng.randint(0, 256, (n, h, w, c)) / 256.0 - 0.5 + rng.rand(n, h, w, c) / 256.0
        ).astype(np.float32)
        x = torch.tensor(x32, dtype=torch.float64)
        y = torch.tensor(rng.randint(0, max(1, kw.get("n_classes", 1)), n))
        t = {"x": x32, "y": y.numpy().astype(np.int32)}
        for k, v in g.perm.items():
            t["fixed." + k] = (
                v.numpy().astype(np.int32)
                if v.dtype == torch.int64
                else v.numpy().astype(np.float32)
            )
        # 1. data-dependent initialisation of every actnorm, from the state at construction
        for k, v in g.p.items():
            t["built." + k] = v.numpy().astype(np.float32)
        g.forward(x, y, init=True)
        for k, v in g.p.items():
            if k.endswith((".bias", ".logs")) and ("actnorm" in k or "norm1" in k or "norm2" in k):
                t["initialised." + k] = v.detach().numpy().astype(np.float32)
        # 2. one pass at a generic point in parameter space: values and gradients of mean bits/dim
        g.perturb(min(0.05, 0.5 / width), seed=seed + 2000)
        for k in g.p:
            g.p[k] = g.p[k].to(torch.float32).to(torch.float64)
            t["param." + k] = g.p[k].numpy().astype(np.float32)
        g.requires_grad()
        xg = x.clone().requires_grad_(True)
        zs, ld, lp = g.forward(xg, y)
        bpd = R.bits_per_dim(lp, dims, n_bins)
        bpd.mean().backward()
        for l, z in enumerate(zs):
            t[f"out.latent{l}"] = z.detach().numpy()
        t["out.logdet"], t["out.log_prob"], t["out.bits_per_dim"] = (
            ld.detach().numpy(),
            lp.detach().numpy(),
            bpd.detach().numpy(),
        )
        t["grad.x"] = xg.grad.clone().numpy()
        for k, v in g.p.items():
            t["grad." + k] = (v.grad if v.grad is not None else torch.zeros_like(v)).clone().numpy()
        with torch.no_grad():
            err = (g.inverse(zs, y) - x).abs().max().item()
        assert err < 1e-8, (name, err)
        # 3. ten Adam steps from there, lr 1e-3, same batch
        t["adam.loss"] = np.array(adam(g, x, y, 10, 1e-3, dims, n_bins))
        for k, v in g.p.items():
            t["adam.param." + k] = v.detach().numpy()
        R.save_safetensors(
            os.path.join(out, name + ".safetensors"),
            t,
            {
                "config": g.cfg,
                "n_bins": str(n_bins),
                "adam": "lr 1e-3, betas 0.9 0.999, eps 1e-8, 10 steps, loss = mean bits/dim",
            },
        )
        print(
            name,
            "bpd",
            bpd.detach().numpy().round(4),
            "adam",
            t["adam.loss"][[0, -1]].round(4),
            "inverse error",
            err,
        )


def differs(made, kept):
    """Where the files differ by more than 1e-12 of 1 + the element, or ""."""
    made, kept = R.load_safetensors(made)[0], R.load_safetensors(kept)[0]
    if made.keys() != kept.keys():
        return "other arrays"
    for k, a in kept.items():
        a, b = a.astype(float), made[k].astype(float)
        if a.shape != b.shape or (a.size and np.max(np.abs(a - b) / (1 + np.abs(a))) > 1e-12):
            return k
    return ""


def check(folder):
    failed = 0
    with tempfile.TemporaryDirectory() as out:
        main(out)
        for name in CASES:
            where = differs(f"{out}/{name}.safetensors", f"{folder}/{name}.safetensors")
            failed += bool(where)
            print(name, "differs in " + where if where else "as made")
    return failed


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    main(sys.argv[1], *(int(v) for v in sys.argv[2:]))
