"""Training by bayesian-torch, for `benchmarks/speed.py`: `python bayesian_torch_fit.py PROBLEM.npz`.

It runs in an environment of its own, which has bayesian-torch and nothing of this project. The problem holds
`x [N, F]`, `y [N, 1]`, the `units` of the hidden layers, the name of the `estimator`, the `batch_size`, the
`initial_scale` of the posterior in units of the prior's, and how many `epochs` a turn is. The network has ReLUs, and
two outputs that parametrise a normal distribution.

The loop is the ordinary one; the rows are indexed by a permutation, which is faster than a `DataLoader`. A turn is
timed in seconds a step. Layers so small are no slower on one thread than on several.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
import math
import sys
import time
from typing import Any

import numpy as np
from turns import take_turns


def main(problem_path: str) -> None:
    """Build the layers, and take turns."""
    problem: dict[str, Any] = dict(np.load(problem_path))
    torch, layers = map(importlib.import_module, ("torch", "bayesian_torch.layers"))
    torch.set_num_threads(1)
    x, y = (torch.tensor(problem[name]) for name in ("x", "y"))
    batch_size, epochs = int(problem["batch_size"]), int(problem["epochs"])
    layer = {"flipout": layers.LinearFlipout, "reparameterization": layers.LinearReparameterization}[
        str(problem["estimator"])
    ]

    def made(fan_in: int, units: int) -> Any:
        prior = fan_in**-0.5
        rho = math.log(math.expm1(float(problem["initial_scale"]) * prior))
        return layer(fan_in, units, prior_variance=prior, posterior_rho_init=rho)  # They use it as an sd.

    made_layers = [made(*sizes) for sizes in itertools.pairwise([x.shape[1], *problem["units"].tolist(), 2])]
    optimizer = torch.optim.Adam([weight for one in made_layers for weight in one.parameters()], lr=1e-3)

    def loss_of(rows: Any) -> Any:
        h, divergence = x[rows], 0.0
        for i, one in enumerate(made_layers):
            h, kl = one(h if i == 0 else torch.relu(h))
            divergence = divergence + kl
        scale = torch.nn.functional.softplus(h[:, 1:]) + 1e-3
        return (((y[rows] - h[:, :1]) / scale) ** 2 / 2 + scale.log()).mean() + divergence / len(x)

    def turn() -> float:
        start, steps = time.perf_counter(), 0
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(batch_size):
                optimizer.zero_grad()
                loss = loss_of(rows)
                loss.backward()
                optimizer.step()
                steps += 1
        assert math.isfinite(loss.item())
        return (time.perf_counter() - start) / steps

    version = importlib.metadata.version("bayesian-torch")
    take_turns(turn, f"bayesian-torch {version}, PyTorch {torch.__version__.partition('+')[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
