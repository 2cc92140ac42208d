"""NUTS of numpyro on a network's posterior, for `benchmarks/mcmc.py`: `python numpyro_nuts.py PROBLEM.npz ANSWER.npz`.

It runs in an environment of its own, which has numpyro and nothing of this project. The problem holds `x [N, F]`,
`y [N, 1]`, `query_points [M, F]`, the known `noise`, the prior's scales (`hidden_scales [F + 1, H]` and `last_scales
[H + 1, 1]`, biases last), the seed and how to sample. The network has one hidden layer of H ReLUs. The answer holds the
functions' values at the query points `[draws, chains, M]`, the seconds in all and of compiling, and the mean number of
leapfrog steps a draw.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

import numpy as np


def main(problem_path: str, answer_path: str) -> None:
    """Sample, and note down how long JAX says that it traced and compiled."""
    problem: dict[str, Any] = dict(np.load(problem_path))
    chains, chain_method = int(problem["chains"]), str(problem["chain_method"])
    if chain_method == "parallel":  # One device for each chain, which JAX must be told before it is imported.
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={chains}"
    jax, jnp, numpyro, infer = map(importlib.import_module, ("jax", "jax.numpy", "numpyro", "numpyro.infer"))
    normal, names = numpyro.distributions.Normal, ("hidden", "last")
    scales = {name: jnp.asarray(problem[f"{name}_scales"]) for name in names}

    def outputs(z: dict[str, Any], x: Any) -> Any:
        hidden, last = (scales[name] * z[name] for name in names)
        return jax.nn.relu(x @ hidden[:-1] + hidden[-1]) @ last[:-1] + last[-1]

    def model(x: Any, y: Any) -> None:
        z = {name: numpyro.sample(name, normal(0.0, 1.0).expand(scales[name].shape).to_event(2)) for name in names}
        numpyro.sample("y", normal(outputs(z, x), float(problem["noise"])).to_event(2), obs=y)

    kernel = infer.NUTS(
        model,
        target_accept_prob=float(problem["target_acceptance"]),
        max_tree_depth=int(problem["max_tree_depth"]),
        init_strategy=infer.init_to_sample,  # From the prior.
    )
    mcmc = infer.MCMC(
        kernel,
        num_warmup=int(problem["warmup"]),
        num_samples=int(problem["draws"]),
        num_chains=chains,
        chain_method=chain_method,
        progress_bar=False,
    )
    x, y, points = (jnp.asarray(problem[name]) for name in ("x", "y", "query_points"))
    of_draws = jax.jit(jax.vmap(jax.vmap(lambda z: outputs(z, points)[:, 0])))
    compiling: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiling.append(seconds if event.startswith("/jax/core/compile/") else 0.0)
    )
    start = time.perf_counter()
    mcmc.run(jax.random.PRNGKey(int(problem["seed"])), x, y, extra_fields=("num_steps",))
    draws = jax.block_until_ready(mcmc.get_samples(group_by_chain=True))
    seconds = time.perf_counter() - start
    np.savez(
        answer_path,
        seconds=np.array(seconds),
        compiling=np.array(sum(compiling)),
        functions=np.asarray(of_draws(draws)).swapaxes(0, 1),
        leapfrogs=np.array(mcmc.get_extra_fields()["num_steps"].mean()),
        versions=np.array(f"numpyro {numpyro.__version__}, JAX {jax.__version__}"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
