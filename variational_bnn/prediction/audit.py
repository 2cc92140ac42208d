"""An audit of the loss that a model is trained on, of this package or of bare TFP layers, against its lower bound."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import require, require_count
from variational_bnn.models.backend import layers_of, require_model, tf, tf_keras, tfd, tfp
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.point_prior import prior_penalties, priors_of
from variational_bnn.models.stochastic import Variational
from variational_bnn.prediction.predict import mean_log_prob

TOLERANCE = 0.02
"""Largest relative deviation of a KL's weight that counts as equal, besides four standard errors of its penalty."""

NEGLIGIBLE = 1e-6
"""The largest KL, in nats per example, that tells nothing of its weight: that of a posterior that is its prior."""

ROWS = 1024
"""The largest batch whose penalties are looked at."""

PASSES = 20
"""Passes over that batch, over which a penalty is averaged: some of TFP's layers estimate theirs by a draw."""


@dataclass(frozen=True, kw_only=True)
class LayerAudit:
    """The KL of one layer: what the evidence lower bound has, and what the layer adds to the loss.

    All numbers are in nats per example. The batch holds the rows that were given to `audit_elbo`, at most the first
    1,024; the half batch holds the first half of them. A penalty that grows with the batch is told by their comparison.

    Attributes:
        name: Name of the layer.
        kl: KL in the bound for the batch: KL(weights or shared units) / num_examples, or the mean KL of the latents.
        penalty: What the layer adds to the loss of the batch, the mean of 20 passes.
        half_batch_kl: KL in the bound for the half batch.
        half_batch_penalty: What the layer adds to the loss of the half batch, the mean of 20 passes.
        standard_error: Standard error of `penalty`, which is 0 if the layer computes its KL in closed form.
        kind: "weights", "units" or "latents".
        point_bias: Whether the layer's bias has a posterior but no prior. It has no KL and, as TFP's default, no
            variance.

    Example:
        A layer of 20 examples whose KL is not divided by their number:

        >>> import variational_bnn as vbnn
        >>> kls = {"kl": 0.1, "penalty": 2.0, "half_batch_kl": 0.1, "half_batch_penalty": 2.0}
        >>> layer = vbnn.LayerAudit(name="dense", kind="weights", **kls, standard_error=0.0, point_bias=False)
        >>> layer.mistakes(num_examples=20, rows=20)
        ['dense: full KL: 20 times too strong, since it is not divided by num_examples']
    """

    name: str
    kl: float
    penalty: float
    half_batch_kl: float
    half_batch_penalty: float
    standard_error: float
    kind: str
    point_bias: bool

    def mistakes(self, num_examples: int, rows: int) -> list[str]:
        """What is wrong, one line each.

        Args:
            num_examples: Size of the training set.
            rows: Size of the batch.
        """
        lines = []
        if self.kl > NEGLIGIBLE:
            weight = self.penalty / self.kl
            half_weight = self.half_batch_penalty / self.half_batch_kl if self.half_batch_kl > NEGLIGIBLE else weight
            grows = self._is(half_weight, weight * (rows // 2) / rows) and not self._is(half_weight, weight)
            if 4 * self.standard_error > max(self.kl, abs(self.penalty)) / 2:
                lines.append(f"its KL is estimated with too much noise to tell its weight from 1: got {weight:.2g}")
            elif grows:
                lines.append(f"batch-summed KL: {weight:.4g} times too strong in a batch of {rows}, and grows with it")
            elif self._is(weight, 0.0):
                lines.append("its KL is not in the loss")
            elif self.kind != "latents" and num_examples > 1 and self._is(weight, num_examples):
                lines.append(f"full KL: {weight:.4g} times too strong, since it is not divided by num_examples")
            elif self._is(weight, 2.0):
                lines.append("double KL: it is counted twice")
            elif not self._is(weight, 1.0):
                lines.append(f"its KL has weight {weight:.4g}, not 1")
        if self.point_bias:
            lines.append("its bias has no prior: a point estimate without KL")
        return [f"{self.name}: {line}" for line in lines]

    def _is(self, weight: float, expected: float) -> bool:
        """Whether the weights are equal within the tolerance and four standard errors."""
        return abs(weight - expected) <= TOLERANCE * expected + 4 * self.standard_error / self.kl + 1e-6


@dataclass(frozen=True, kw_only=True)
class ElboAudit:
    """The loss of a model against its evidence lower bound, in nats per example; `str(audit)` is a summary.

    Attributes:
        nll: Mean over function samples and rows of -log p(y given x, sample); with `ConditionalUnits` that of the bound
            of their K draws.
        kl: KL in the bound: KL(weights and shared units) / num_examples plus the mean KL of the latents.
        penalty: What the layers add to the loss for that KL.
        prior_penalty: What a `NormalPrior` of point weights adds to the loss, -log p(w) / N up to a constant.
        other: What else the model adds to the loss, such as weight decay.
        layers: The audit of each layer that has a KL, in the model's order.
        warnings: The mistakes that were noticed, one line each; empty if the loss is the negative evidence lower bound
            plus the `prior_penalty`.

    Example:
        >>> import variational_bnn as vbnn
        >>> audit = vbnn.ElboAudit(nll=1.5, kl=0.5, penalty=1.0, prior_penalty=0.0, other=0.0, layers=(), warnings=())
        >>> audit.elbo, audit.temperature
        (-2.0, 2.0)
    """

    nll: float
    kl: float
    penalty: float
    prior_penalty: float
    other: float
    layers: tuple[LayerAudit, ...]
    warnings: tuple[str, ...]

    @property
    def elbo(self) -> float:
        """The evidence lower bound per example, `-(nll + kl)`."""
        return -(self.nll + self.kl)

    @property
    def temperature(self) -> float:
        """The weight of the KL in the loss, `penalty / kl`; 1 if there is no KL.

        At 1 the loss is the negative evidence lower bound. Below 1 the posterior is called cold, above 1 warm.
        """
        return self.penalty / self.kl if self.kl > NEGLIGIBLE else 1.0

    def __str__(self) -> str:
        """The terms, the temperature, and one line for each warning."""
        numbers = f"nll {self.nll:.6g}, kl {self.kl:.6g}, elbo {self.elbo:.6g} nats per example"
        lines = [numbers, f"effective temperature {self.temperature:.6g}"]
        if self.prior_penalty:
            lines.append(f"prior penalty of the point weights {self.prior_penalty:.6g} nats per example")
        return "\n".join([*lines, *(f"warning: {line}" for line in self.warnings)])


def audit_elbo(
    model: tf_keras.Model,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    num_examples: int | None = None,
    num_samples: int = 200,
    seed: int = 0,
) -> ElboAudit:
    """Compare the KL that a model adds to its loss with the KL of its evidence lower bound.

    Keras averages the log-likelihood over the examples of a batch. So the KL of the weights must be divided by the
    number of training examples, and the KL of latents averaged over the batch. TFP's layers leave both to the user, and
    count the KL of `activity_regularizer=KLDivergenceRegularizer(...)` twice.

    Audited are the Dense and Convolution layers of TFP, its `DenseVariational`, `KLDivergenceRegularizer` and
    `KLDivergenceAddLoss`, and the layers of this package; not what a user's own loss function adds. The penalties are
    those of the first 1,024 rows. The model and its random numbers are left as they were.

    Args:
        model: Any tf_keras model whose output is a distribution.
        x: Training inputs `[N, ...]`; `[N]` if the model takes one feature.
        y: Training targets `[N, D]`, or `[N]` if D = 1.
        num_examples: Size of the training set if x is a part of it; N by default.
        num_samples: Number of function samples for the expected log-likelihood, >= 1.
        seed: Seed of these samples, >= 0.

    Returns:
        The terms of the bound and of the loss, layer by layer, with a warning for each mistake that was noticed.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If x or y does not fit the model or is not finite, the model puts out no distribution, num_examples
            is below the number of rows, num_samples < 1 or seed < 0, or the model has other latents beside a
            `ConditionalUnits`.

    Example:
        The KL of a bare TFP layer is not divided by the number of examples.

        >>> import numpy as np
        >>> import tensorflow_probability as tfp
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> dense = tfp.layers.DenseFlipout(2, bias_posterior_fn=None)
        >>> model = tf_keras.Sequential([tf_keras.Input((3,)), dense, tfp.layers.IndependentNormal(1)])
        >>> audit = vbnn.audit_elbo(model, np.ones((40, 3)), np.ones(40), num_samples=5)
        >>> print(round(audit.temperature))
        40
        >>> print(*audit.warnings)  # doctest: +ELLIPSIS
        dense_flipout...: full KL: 40 times too strong, since it is not divided by num_examples
    """
    require_model(model)
    draws = _draws_of_bound(model)
    nll = -float(mean_log_prob(model, x, y, num_samples=num_samples, num_draws=draws, seed=seed).mean())
    rows = np.asarray(x, np.float32)
    count = len(rows) if num_examples is None else num_examples
    require_count("num_examples", count)
    require(count >= len(rows), f"num_examples must be at least the {len(rows)} rows of x, got {count}")
    batch = rows[:ROWS]
    passes, halves = _passes(model, batch), _passes(model, batch[: max(1, len(batch) // 2)])
    layers = tuple(
        LayerAudit(
            name=layer.name,
            kl=float(passes[:, 0, i].mean()) / (1 if kind == "latents" else count),
            penalty=float(passes[:, 1, i].mean()),
            half_batch_kl=float(halves[:, 0, i].mean()) / (1 if kind == "latents" else count),
            half_batch_penalty=float(halves[:, 1, i].mean()),
            standard_error=float(passes[:, 1, i].std() / np.sqrt(PASSES)),
            kind=kind,
            point_bias=getattr(layer, "bias_posterior", None) is not None and layer.bias_prior is None,
        )
        for i, (layer, kind) in enumerate(_layers_with_kl(model))
    )
    penalty, prior_penalty = sum(layer.penalty for layer in layers), float(sum(prior_penalties(model)))
    return ElboAudit(
        nll=nll,
        kl=sum(layer.kl for layer in layers),
        penalty=penalty,
        prior_penalty=prior_penalty,
        other=float(passes[:, 1, -1].mean()) - penalty - prior_penalty,
        layers=layers,
        warnings=(
            *(line for layer in layers for line in layer.mistakes(count, len(batch))),
            *_mistakes_of_priors(model, count),
        ),
    )


def _draws_of_bound(model: tf_keras.Model) -> int:
    """The number of draws of the latents in the bound that the model is trained by."""
    conditional = [layer for layer in layers_of(model) if isinstance(layer, ConditionalUnits)]
    if not conditional:
        return 1
    others = [layer.name for layer in layers_of(model) if isinstance(layer, ConditionalUnits | NormalUnits)][1:]
    require(not others, f"a model with ConditionalUnits must have no other latents to be audited, got {others}")
    return int(conditional[0].num_draws)


def _mistakes_of_priors(model: tf_keras.Model, num_examples: int) -> list[str]:
    """The layers whose point weights have a prior that is divided by another number of examples."""
    divisors = dict.fromkeys((layer.name, prior.num_examples) for layer, prior, _ in priors_of(model))
    told = "the penalty of its prior is divided by {} examples, not {}"
    return [f"{name}: {told.format(got, num_examples)}" for name, got in divisors if got != num_examples]


def _layers_with_kl(model: tf_keras.Model) -> list[tuple[Any, str]]:
    """The layers that have a KL, each with what is random in it: "weights", "units" or "latents"."""
    layers: list[tuple[Any, str]] = []
    for layer in layers_of(model):
        if isinstance(layer, Variational):
            layers.append((layer, layer.kind))
        elif isinstance(layer, tfp.layers.DenseVariational) or hasattr(layer, "kernel_posterior"):
            layers.append((layer, "weights"))
        elif _regularizer(layer) is not None:
            layers.append((layer, "latents"))
    return layers


def _regularizer(layer: Any) -> Any:
    """TFP's KL regulariser of a layer of latents, or None."""
    candidate = getattr(layer, "activity_regularizer", None)
    if isinstance(layer, tfp.layers.KLDivergenceAddLoss):
        candidate = layer._regularizer
    return candidate if isinstance(candidate, tfp.layers.KLDivergenceRegularizer) else None


def _passes(model: tf_keras.Model, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Pass the rows through the model several times, and leave the model as it was.

    Returns:
        `[passes, 2, layers + 1]`: the KL in the bound, not divided by num_examples, and the penalty of each layer that
        has a KL. The last column holds 0 and all that the model adds to its loss.
    """

    def forward(x: tf.Tensor) -> tf.Tensor:
        layers = _layers_with_kl(model)
        with _recorded_latents(layers) as latents:
            model(x, training=False)
        kls = [_kl(layer, latents) for layer, _ in layers]
        penalties = [tf.add_n(layer.losses or [tf.zeros(())]) for layer, _ in layers]
        return tf.stack([[*kls, 0.0], [*penalties, tf.add_n(model.losses or [tf.zeros(())])]])

    compiled = tf.function(forward, autograph=False).get_concrete_function(tf.TensorSpec(rows.shape))
    counters = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    passes = np.array([compiled(tf.constant(rows)).numpy() for _ in range(PASSES)], np.float64)
    for variable, value in counters:  # A layer counts its draws; training must not depend on whether it was audited.
        variable.assign(value)
    return passes


@contextlib.contextmanager
def _recorded_latents(layers: list[tuple[Any, str]]) -> Iterator[dict[Any, tf.Tensor]]:
    """Within the context, TFP's regularisers record the mean KL of the latents that they are given.

    TFP has no public way to see these latents: a regulariser keeps its divergence in `_kl_divergence_fn`, so this is
    replaced for a while.
    """
    latents: dict[Any, tf.Tensor] = {}
    regularizers = [r for layer, _ in layers if (r := _regularizer(layer)) is not None]
    originals = [regularizer._kl_divergence_fn for regularizer in regularizers]

    def recording(regularizer: Any, original: Any) -> Any:
        def penalty(latent: tfd.Distribution) -> tf.Tensor:
            latents[regularizer] = tf.reduce_mean(_divergence(latent, regularizer.distribution_b))
            return original(latent)

        return penalty

    for regularizer, original in zip(regularizers, originals, strict=True):
        regularizer._kl_divergence_fn = recording(regularizer, original)
    try:
        yield latents
    finally:
        for regularizer, original in zip(regularizers, originals, strict=True):
            regularizer._kl_divergence_fn = original


def _kl(layer: Any, latents: dict[Any, tf.Tensor]) -> tf.Tensor:
    """KL of all of a layer's weights, or the mean KL of its latents, in nats."""
    if isinstance(layer, Variational):
        return layer.kl if layer.kind == "latents" else layer.kl * layer.num_examples
    if isinstance(layer, tfp.layers.DenseVariational):
        return _divergence(layer._posterior(0.0), layer._prior(0.0))
    if (regularizer := _regularizer(layer)) is not None:
        return latents[regularizer]
    pairs = [(layer.kernel_posterior, layer.kernel_prior), (layer.bias_posterior, layer.bias_prior)]
    return tf.add_n([_divergence(q, prior) for q, prior in pairs if q is not None and prior is not None])


def _divergence(q: tfd.Distribution, prior: Any) -> tf.Tensor:
    """KL(q || prior) in closed form where TFP knows one, else over 1,000 draws."""
    prior = prior() if callable(prior) else prior
    try:
        return tf.reduce_sum(tfd.kl_divergence(q, prior), axis=[])
    except NotImplementedError:
        draws = q.sample(1000, seed=0)
        return tf.reduce_mean(q.log_prob(draws) - prior.log_prob(draws), axis=0)
