"""Draws from a mean-field posterior by JAX, for `benchmarks/speed.py`: `python jax_predict.py PROBLEM.npz`.

It runs in an environment of its own, which has numpyro and nothing of this project. The problem holds `x [N, F]`, the
`units` of the hidden layers, the number of `draws`, and how many `calls` a turn is. The network has ReLUs, and two
outputs that parametrise a normal distribution.

A call is one compiled program, as users of numpyro write it: it draws all weights, maps the network over the draws by
`vmap`, and returns the mean, its variance over draws, and the mean of the noise's variance. A turn is the median
seconds of its calls.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import time
from typing import Any

import numpy as np
from turns import take_turns


def main(problem_path: str) -> None:
    """Compile the program, and take turns."""
    problem: dict[str, Any] = dict(np.load(problem_path))
    jax, jnp, numpyro = map(importlib.import_module, ("jax", "jax.numpy", "numpyro"))
    x, draws, calls = jnp.asarray(problem["x"]), int(problem["draws"]), int(problem["calls"])
    rng, sizes = np.random.default_rng(0), [x.shape[1], *problem["units"].tolist(), 2]
    shapes = [(fan_in + 1, units) for fan_in, units in itertools.pairwise(sizes)]
    layers = [numpyro.distributions.Normal(0.1 * rng.normal(size=shape), 0.1) for shape in shapes]

    def outputs(weights: list[Any]) -> Any:
        h = x
        for i, z in enumerate(weights):
            h = (h if i == 0 else jax.nn.relu(h)) @ z[:-1] + z[-1]
        return h[:, 0], (jax.nn.softplus(h[:, 1]) + 1e-3) ** 2

    @jax.jit
    def predict(key: Any) -> Any:
        keys = jax.random.split(key, len(layers))
        weights = [layer.sample(key, (draws,)) for layer, key in zip(layers, keys, strict=True)]
        means, variances = jax.vmap(outputs)(weights)
        return means.mean(axis=0), means.var(axis=0), variances.mean(axis=0)

    def call(seed: int) -> float:
        start = time.perf_counter()
        _ = [np.asarray(value) for value in predict(jax.random.PRNGKey(seed))]
        return time.perf_counter() - start

    take_turns(lambda: float(np.median([call(seed) for seed in range(calls)])), f"JAX {jax.__version__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
