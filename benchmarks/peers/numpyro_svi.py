"""Mean-field variational inference by numpyro, for `benchmarks/speed.py`: `python numpyro_svi.py PROBLEM.npz`.

It runs in an environment of its own, which has numpyro and nothing of this project. The problem holds `x [N, F]`,
`y [N, 1]`, the `units` of the hidden layers, the `batch_size`, the `initial_scale` of the posterior in units of the
prior's, and how many `epochs` a turn is. The network has ReLUs, and two outputs that parametrise a normal distribution.

A turn is timed in seconds a step. All steps of an epoch are one `lax.scan` in one compiled program, over batches of a
new permutation of the rows. Of what numpyro offers, the fastest was taken: one block of weights and biases a layer
(against one for weights and one for biases), the KL in closed form (against that of a draw), the default generator of
random numbers (against `rbg` and `unsafe_rbg`).
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
    """Build and compile the program, and take turns."""
    problem: dict[str, Any] = dict(np.load(problem_path))
    jax, jnp, numpyro, infer, autoguide = map(
        importlib.import_module, ("jax", "jax.numpy", "numpyro", "numpyro.infer", "numpyro.infer.autoguide")
    )
    normal, x, y = numpyro.distributions.Normal, jnp.asarray(problem["x"]), jnp.asarray(problem["y"])
    batch_size, epochs = int(problem["batch_size"]), int(problem["epochs"])
    sizes = [x.shape[1], *problem["units"].tolist(), 2]
    steps = len(x) // batch_size

    def model(x: Any, y: Any) -> None:
        h = x
        for i, (fan_in, units) in enumerate(itertools.pairwise(sizes)):
            z = numpyro.sample(f"layer_{i}", normal(0.0, 1.0).expand((fan_in + 1, units)).to_event(2)) / fan_in**0.5
            h = (h if i == 0 else jax.nn.relu(h)) @ z[:-1] + z[-1]
        with numpyro.plate("rows", steps * batch_size, subsample_size=len(x)):
            numpyro.sample("y", normal(h[:, 0], jax.nn.softplus(h[:, 1]) + 1e-3), obs=y[:, 0])

    guide = autoguide.AutoNormal(model, init_scale=float(problem["initial_scale"]))
    svi = infer.SVI(model, guide, numpyro.optim.Adam(1e-3), infer.TraceMeanField_ELBO())

    @jax.jit
    def epoch(state: Any, key: Any) -> Any:
        rows = jax.random.permutation(key, len(x))[: steps * batch_size].reshape(steps, batch_size)
        return jax.lax.scan(lambda state, batch: svi.update(state, x[batch], y[batch]), state, rows)

    state, keys = svi.init(jax.random.PRNGKey(0), x[:batch_size], y[:batch_size]), jax.random.PRNGKey(1)

    def turn() -> float:
        nonlocal state, keys
        start = time.perf_counter()
        for _ in range(epochs):
            keys, key = jax.random.split(keys)
            state, losses = epoch(state, key)
        assert np.isfinite(np.asarray(losses)).all()
        return (time.perf_counter() - start) / (epochs * steps)

    take_turns(turn, f"numpyro {numpyro.__version__}, JAX {jax.__version__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
