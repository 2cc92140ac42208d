"""The step sizes of stochastic gradient Langevin dynamics, and its draws of a linear network's posterior."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import variational_bnn as vbnn
from variational_bnn.methods.sgld import step_size

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = X @ [[1.0], [-0.5]] + 0.5 * RNG.normal(size=(40, 1))
DATASET = vbnn.Dataset(name="made", x=X, y=Y)
LINE = vbnn.Network(input_shape=(2,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=0.5))


def test_the_steps_shrink_by_a_power_of_time_until_the_warm_up_is_over() -> None:
    """a (1 + t/b)^-0.55 (Welling & Teh 2011), constant from b on."""
    first, length = 0.3, 200.0
    times = np.array([0, 50, 200, 400, 4000], np.float32)
    found = [float(step_size(tf.constant(time), first, length)) for time in times]
    at_the_end = 0.3 * 2**-0.55
    np.testing.assert_allclose(found, [0.3, 0.3 * 1.25**-0.55, at_the_end, at_the_end, at_the_end], rtol=1e-6)


def test_it_samples_the_posterior_of_a_linear_network() -> None:
    """Its mean within a tenth and its sds within a tenth of the exact ones; with half of the rows they are not."""
    method = vbnn.SGLD(steps=500, learning_rate=0.1, chains=16, warmup=300, draws=500, thinning=5)
    posterior = method.fit(DATASET, LINE, 0)
    functions = posterior.sample_functions(X, num_samples=8000, seed=0)[..., 0]
    half = vbnn.Dataset(name="half", x=X[:20], y=Y[:20])
    for dataset, matches in ((DATASET, True), (half, False)):
        predictive = vbnn.LinearRegression().fit(dataset, LINE, 0).predict(X, num_samples=2, seed=0)
        sd = np.sqrt(predictive.epistemic_variance[:, 0])
        off_mean = np.abs(functions.mean(0) - predictive.mean[:, 0]) / sd
        off_sd = np.abs(functions.std(0) / sd - 1)
        assert (max(off_mean.max(), off_sd.max()) < 0.1) == matches


def test_chains_that_diverge_raise() -> None:
    """A rate at which the search for the mode diverges."""
    with pytest.raises(vbnn.FitError, match=r"^diverged: "):
        vbnn.SGLD(steps=5, learning_rate=1e30, chains=2, warmup=1, draws=4, thinning=1).fit(DATASET, LINE, 0)
