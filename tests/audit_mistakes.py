"""The usual mistakes in the loss of a variational model, and what the audit prints: `python tests/audit_mistakes.py`.

It prints the table of docs/audit.md. Each mistake is one layer of TensorFlow Probability, mostly with a Normal of known
scale 0.5 about its output, on 40 rows of 3 features and 2 targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd

from variational_bnn.prediction.audit import audit_elbo

N, WEIGHTS = 40, 6
RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))


def nll(y: Any, density: Any) -> Any:
    return -density.log_prob(y)


def summed(y: Any, density: Any) -> Any:
    return -tf.reduce_sum(density.log_prob(y))


def cubed(y: Any, density: Any) -> Any:
    return -3 * density.log_prob(y)


def likelihood(y: Any, density: Any) -> Any:
    return density.log_prob(y)


def normal_head(**settings: Any) -> Any:
    return tfp.layers.DistributionLambda(lambda t: tfd.Independent(tfd.Normal(t, 0.5), 1), **settings)


def kl_times(weight: float) -> Callable[..., Any]:
    return lambda q, p, _: weight * tfd.kl_divergence(q, p)


def mean_kl(q: Any, p: Any, _: Any) -> Any:
    return tf.reduce_mean(tfd.kl_divergence(q.distribution, p.distribution))


def weights(divergence: Any, head: Any = None, model: Any = tf_keras.Model, **bias: Any) -> Any:
    """A Flipout layer of 6 weights without a bias, or with one, and a head."""
    bias = bias or {"bias_posterior_fn": None}
    inputs = tf_keras.Input((3,))
    outputs = tfp.layers.DenseFlipout(2, name="layer", kernel_divergence_fn=divergence, **bias)(inputs)
    return model(inputs, outputs if head is None else head(outputs))


def latents(activity: bool) -> Any:
    """Latents of one unit, with their KL as a regulariser or as a layer."""
    prior = tfd.Independent(tfd.Normal([0.0], 1.0), 1)
    regularizer = tfp.layers.KLDivergenceRegularizer(prior, use_exact_kl=True) if activity else None
    units = [tfp.layers.IndependentNormal(1, activity_regularizer=regularizer, name="layer" if activity else None)]
    units += [] if activity else [tfp.layers.KLDivergenceAddLoss(prior, use_exact_kl=True, name="layer")]
    layers = [tf_keras.Input((3,)), tf_keras.layers.Dense(2), *units, tf_keras.layers.Dense(2), normal_head()]
    return tf_keras.Sequential(layers)


def counted_by_the_loss() -> Any:
    """A model whose compiled loss adds `model.losses`, as Keras does, too."""
    model = weights(kl_times(1 / N), normal_head())
    return model, lambda y, density: -density.log_prob(y) + tf.add_n(model.losses)


class UnscaledModel(tf_keras.Model):
    """It adds the KL in each replica, while Keras sums the gradients of the replicas."""

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
        return self.compiled_loss(y, y_pred, sample_weight) + tf.add_n(self.losses)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A model and a loss, and the weight of its KL relative to the log-likelihood."""

    name: str
    remedy: str
    make: Callable[[], Any]
    temperature: float
    told: str
    loss: Any = nll
    compiled: dict[str, Any] = field(default_factory=dict)
    audited: dict[str, Any] = field(default_factory=dict)

    def compiled_model(self) -> Any:
        tf.random.set_seed(0)
        made = self.make()
        model, loss = made if isinstance(made, tuple) else (made, self.loss)
        model.compile("adam", loss=loss, **self.compiled)
        return model

    def audit(self, model: Any = None) -> Any:
        model = model or self.compiled_model()
        return audit_elbo(model, X, Y, num_samples=5, **self.audited)

    def row(self, audit: Any) -> str:
        return f"| {self.name} | {'<br>'.join([audit.loss_kind, *audit.warnings])} | {self.remedy} |"


def right(head: Any = None, model: Any = tf_keras.Model) -> Any:
    return weights(kl_times(1 / N), head or normal_head(), model)


def mean_head() -> Any:
    return normal_head(convert_to_tensor_fn=tfd.Distribution.mean)


DIVIDE = "`kernel_divergence_fn=lambda q, p, _: kl_divergence(q, p) / num_examples`"
MISTAKES = (
    Mistake(name="none", remedy="", make=right, temperature=1, told="the loss is the negative evidence lower bound"),
    Mistake(
        name="KL not divided by N, TFP's default",
        remedy=DIVIDE,
        make=lambda: weights(kl_times(1), normal_head()),
        temperature=N,
        told="full KL: 40 times too strong",
    ),
    Mistake(
        name="KL divided by the number of batches",
        remedy="divide it by the number of examples: Keras averages the nll over the rows of a batch",
        make=lambda: weights(kl_times(1 / 2), normal_head()),
        temperature=N / 2,
        told="divided by 2, perhaps the number of batches",
    ),
    Mistake(
        name="KL averaged over the weights, as some torch libraries do",
        remedy="sum it over the weights and divide it by the number of examples",
        make=lambda: weights(mean_kl, normal_head()),
        temperature=N / WEIGHTS,
        told="mean KL: averaged over its weights, not divided by num_examples: it has weight 6.667",
    ),
    Mistake(
        name="that mean, divided by N as well",
        remedy="sum it over the weights",
        make=lambda: weights(lambda q, p, _: mean_kl(q, p, _) / N, normal_head()),
        temperature=1 / WEIGHTS,
        told="averaged over its weights instead of summed: it has weight 0.1667",
    ),
    Mistake(
        name='`loss="mse"`, the output a tensor',
        remedy="none, if the noise is so; otherwise a head with noise and its nll",
        make=lambda: weights(kl_times(1 / N)),
        loss="mse",
        temperature=1,
        told="Normal noise of variance 1 (sd 1) about the output",
    ),
    Mistake(
        name='`loss="mse"`, the output the mean of a Normal of scale 0.5',
        remedy="`loss=vbnn.negative_log_likelihood`",
        make=lambda: right(mean_head()),
        loss="mse",
        temperature=4,
        told="its own log-likelihood to the power 0.25",
    ),
    Mistake(
        name="the same, but the output is a draw, TFP's default",
        remedy="`loss=vbnn.negative_log_likelihood`",
        make=right,
        loss="mse",
        temperature=4,
        told="about a draw from the output's distribution",
    ),
    Mistake(
        name='`loss="mae"`',
        remedy="`loss=vbnn.negative_log_likelihood`",
        make=lambda: right(mean_head()),
        loss="mae",
        temperature=1,
        told="Laplace noise of scale 2",
    ),
    Mistake(
        name="nll summed over the batch, KL not divided",
        remedy="the mean of the nll, and the KL divided by the number of examples",
        make=lambda: weights(kl_times(1), normal_head()),
        loss=summed,
        temperature=1,
        told="in batches of B rows the KL is 40 / B times too strong",
    ),
    Mistake(
        name="nll summed over the batch, KL divided by N",
        remedy="the mean of the nll",
        make=right,
        loss=summed,
        temperature=1 / N,
        told="with 40 its weight is 40, the KL's 1",
    ),
    Mistake(
        name="`-3 * log_prob`",
        remedy="weight 1, or `kl_weight=1/3` on purpose",
        make=right,
        loss=cubed,
        temperature=1 / 3,
        told="a likelihood to the power 3",
    ),
    Mistake(
        name="the same, and three times the KL",
        remedy="none: it has the same minimum",
        make=lambda: weights(kl_times(3 / N), normal_head()),
        loss=cubed,
        temperature=1,
        told="the loss is 3 times the negative evidence lower bound",
    ),
    Mistake(
        name="the sign of the nll forgotten",
        remedy="`-log_prob`",
        make=right,
        loss=likelihood,
        temperature=-1,
        told="the log-likelihood has the wrong sign",
    ),
    Mistake(
        name="KL added by the compiled loss, too",
        remedy="leave `model.losses` to Keras",
        make=counted_by_the_loss,
        temperature=2,
        told="double KL: it is counted twice",
    ),
    Mistake(
        name="`activity_regularizer=KLDivergenceRegularizer(...)`, which TFP counts twice",
        remedy="`KLDivergenceRegularizer(..., weight=0.5)`, or `vbnn.NormalUnits`",
        make=lambda: latents(True),
        temperature=2,
        told="double KL: it is counted twice",
    ),
    Mistake(
        name="`KLDivergenceAddLoss`, which sums over the batch",
        remedy="`vbnn.NormalUnits`",
        make=lambda: latents(False),
        temperature=N,
        told="batch-summed KL: 40 times too strong in a batch of 40, and grows with it",
    ),
    Mistake(
        name="TFP's default bias, a point",
        remedy="`bias_posterior_fn=default_mean_field_normal_fn()` and a `bias_prior_fn`",
        make=lambda: weights(kl_times(1 / N), normal_head(), bias_prior_fn=None),
        temperature=1,
        told="its bias has no prior: a point estimate without KL",
    ),
    Mistake(
        name="no KL in the loss",
        remedy=DIVIDE,
        make=lambda: weights(None, normal_head()),
        temperature=0,
        told="its KL is not in the loss",
    ),
    Mistake(
        name="`loss_weights=[0.5]`",
        remedy="none, or weight the KL alike",
        make=right,
        compiled={"loss_weights": [0.5]},
        temperature=2,
        told="the log-likelihood has weight 0.5, not 1",
    ),
    Mistake(
        name="sample or class weights with another mean than 1",
        remedy="divide them by their mean",
        make=right,
        audited={"sample_weight": np.linspace(1, 4, N)},
        temperature=1 / 2.5,
        told="the log-likelihood has weight 2.5, not 1 (the sample weights have mean 2.5)",
    ),
    Mistake(
        name='a loss that is no likelihood, such as `"huber"`',
        remedy="`loss=vbnn.negative_log_likelihood`",
        make=right,
        loss="huber",
        temperature=np.nan,
        told="the loss is no evidence lower bound",
    ),
)
OF_REPLICAS = (
    Mistake(name="none, two replicas", remedy="", make=right, temperature=1, told="the loss is the negative evidence"),
    Mistake(
        name="KL counted in each of two replicas",
        remedy="`self.compiled_loss(..., regularization_losses=self.losses)`, which divides it by the replicas",
        make=lambda: right(model=UnscaledModel),
        temperature=2,
        told="its KL is counted once for each of the 2 replicas",
    ),
    Mistake(
        name="KL divided by the replicas, which Keras does itself",
        remedy="divide it by the number of examples alone",
        make=lambda: weights(kl_times(1 / N / 2), normal_head()),
        temperature=1 / 2,
        told="its KL is divided by the 2 replicas, which Keras does itself",
    ),
)


def audited_in_replicas() -> list[tuple[Mistake, Any]]:
    """The mistakes of two replicas and their audits; it must be called before TensorFlow has started."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        models = [mistake.compiled_model() for mistake in OF_REPLICAS]
    return [(mistake, mistake.audit(model)) for mistake, model in zip(OF_REPLICAS, models, strict=True)]


if __name__ == "__main__":
    of_replicas = audited_in_replicas()
    print("| mistake | what the audit prints | remedy |\n|---|---|---|")
    for mistake, audit in [*((mistake, mistake.audit()) for mistake in MISTAKES), *of_replicas]:
        print(mistake.row(audit))
