"""The noise of the loss has the right expectation; and the traps of the bare layers, as controls."""

from __future__ import annotations

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.base import Network
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import negative_log_likelihood

N = 25
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 3)).astype(np.float32), RNG.normal(size=(N, 2)).astype(np.float32)


@pytest.mark.parametrize("kind", by_hand.ESTIMATORS)
def test_the_noisy_nll_of_a_linear_model_has_its_closed_form_as_expectation(kind: str) -> None:
    """E_q[nll] = nll at the means + Var_q[output] / (2 noise^2); without that term the check fails."""
    network = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=0.5))
    model = by_hand.build(kind, network, N)
    by_hand.widen(model)
    model.compile("sgd", loss=negative_log_likelihood)
    at_the_means, kl = by_hand.nll_and_kl(kind, model, network, X, Y, N)
    (_, kernel), (_, bias) = by_hand.posterior(model, "parameters").values()
    variance = (X.astype(np.float64) ** 2 @ kernel**2 + bias**2).sum(-1)
    expected = (at_the_means + variance / (2 * 0.5**2)).mean()

    data = tf.data.Dataset.from_tensors((X, Y)).repeat()
    logs = [model.evaluate(data, steps=50, verbose=0, return_dict=True) for _ in range(20)]
    nll = np.array([log["nll"] for log in logs])
    error = nll.std(ddof=1) / np.sqrt(len(nll))
    assert abs(nll.mean() - expected) < 4 * error
    assert abs(nll.mean() - at_the_means.mean()) > 20 * error
    np.testing.assert_allclose([log["kl"] for log in logs], kl, rtol=1e-5)
    np.testing.assert_allclose([log["loss"] for log in logs], nll + kl, rtol=1e-5)


def test_the_check_fails_for_a_bare_tfp_layer_whose_kl_is_as_many_times_too_strong_as_there_are_rows() -> None:
    """Fact 2: TFP adds its whole KL to a loss that Keras averages over the rows."""
    likelihood = tfp.layers.DistributionLambda(lambda loc: tfd.Independent(tfd.Normal(loc, 0.5), 1))
    model = tf_keras.Sequential([tfp.layers.DenseFlipout(2), likelihood])
    model.compile("sgd", loss=negative_log_likelihood)
    loss = model.evaluate(X, Y, batch_size=N, verbose=0)
    kernel = model.layers[0].kernel_posterior.distribution
    kl = by_hand.normal_kl(kernel.loc.numpy(), tf.convert_to_tensor(kernel.scale).numpy(), 1.0).sum()
    assert loss > kl
    assert loss != pytest.approx(kl / N, rel=0.5)


def test_the_kl_of_latents_is_a_mean_over_rows_where_tfps_is_doubled_or_a_sum() -> None:
    """Facts 3 and 4: TFP's activity regulariser counts the KL twice, its KLDivergenceAddLoss sums it over the rows."""
    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    row = np.array([0.3, -0.4, 0.2, 0.1], np.float32)
    loc, raw = np.split(row.astype(np.float64), 2)
    ours = by_hand.normal_kl(loc, by_hand.latent_scale(raw, 0.1), 1.0).sum()
    theirs = by_hand.normal_kl(loc, by_hand.softplus(raw), 1.0).sum()
    regulariser = tfp.layers.KLDivergenceRegularizer(prior, use_exact_kl=True)
    for rows in (1, 4, 16):
        x = np.tile(row, (rows, 1))
        units = NormalUnits(seed=0)
        units(x)
        assert float(units.losses[0]) == pytest.approx(ours, rel=1e-5)
        doubled = tfp.layers.IndependentNormal(2, activity_regularizer=regulariser)
        doubled(x)
        assert float(sum(doubled.losses)) == pytest.approx(2 * theirs, rel=1e-3)
        add_loss = tfp.layers.KLDivergenceAddLoss(prior, use_exact_kl=True)
        summed = tf_keras.Sequential([tfp.layers.IndependentNormal(2), add_loss])
        summed(x)
        assert float(sum(summed.losses)) == pytest.approx(rows * theirs, rel=1e-3)
