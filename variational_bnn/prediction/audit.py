"""An audit of the evidence lower bound that a model is really trained on: ours, or anybody's made of TFP layers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import require, require_count
from variational_bnn.models.backend import layers_of, require_model, tf, tf_keras, tfd, tfp
from variational_bnn.models.layers import MeanFieldDense, NormalUnits
from variational_bnn.prediction.predict import mean_log_prob

TOLERANCE = 0.02
"""Relative deviation from a KL's right weight that is let pass, besides four standard errors of its penalty."""

NEGLIGIBLE = 1e-6
"""Nats per example: a smaller KL, of a posterior that is its prior, tells nothing of its weight."""

_ROWS = 1024
_PASSES = 20


@dataclass(frozen=True, kw_only=True)
class LayerAudit:
    """One layer's KL, in nats per example.

    Attributes:
        name: Of the layer.
        kl: What the evidence lower bound asks for: KL(weights) / num_examples, or the latents' mean KL.
        penalty: What the layer adds to the loss of a batch of all rows.
        half_batch_kl: What the bound asks for in a batch of the first half of them.
        half_batch_penalty: What the layer adds to the loss of that batch.
        standard_error: Of the penalty, which TFP's layers may estimate by a draw.
        kind: "weights" or "latents".
        point_bias: Whether the layer's bias has a posterior without a prior: no KL and, by default, no variance.
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
        """What is wrong, a line each, if the penalty is of so many rows."""
        found = []
        if self.kl > NEGLIGIBLE:
            weight = self.penalty / self.kl
            half_weight = self.half_batch_penalty / self.half_batch_kl if self.half_batch_kl > NEGLIGIBLE else weight
            grows = self._is(half_weight, weight * (rows // 2) / rows) and not self._is(half_weight, weight)
            if 4 * self.standard_error > max(self.kl, abs(self.penalty)) / 2:
                found.append(f"its KL is drawn with too much noise to tell its weight: {weight:.2g}, not surely 1")
            elif grows:
                found.append(f"batch-summed KL: {weight:.4g} times too strong in a batch of {rows}, and grows with it")
            elif self._is(weight, 0.0):
                found.append("its KL is not in the loss")
            elif self.kind == "weights" and num_examples > 1 and self._is(weight, num_examples):
                found.append(f"full KL: {weight:.4g} times too strong, since it is not divided by num_examples")
            elif self._is(weight, 2.0):
                found.append("double KL: it is counted twice")
            elif not self._is(weight, 1.0):
                found.append(f"its KL has weight {weight:.4g}, not 1")
        if self.point_bias:
            found.append("its bias has no prior: a point estimate without KL")
        return [f"{self.name}: {line}" for line in found]

    def _is(self, weight: float, wanted: float) -> bool:
        return abs(weight - wanted) <= TOLERANCE * wanted + 4 * self.standard_error / self.kl + 1e-6


@dataclass(frozen=True, kw_only=True)
class ElboAudit:
    """What `audit_elbo` found, in nats per example.

    Attributes:
        nll: E_draws[-log p(y given x, draw)].
        kl: KL(weights) / num_examples plus the latents' mean KL.
        penalty: What the model's layers add to the loss for that.
        other: What else the model adds to the loss, such as weight decay.
        layers: Layer by layer.
        warnings: Known mistakes, a line each; empty if the loss is the negative evidence lower bound.
    """

    nll: float
    kl: float
    penalty: float
    other: float
    layers: tuple[LayerAudit, ...]
    warnings: tuple[str, ...]

    @property
    def elbo(self) -> float:
        """The evidence lower bound per example, `-(nll + kl)`."""
        return -(self.nll + self.kl)

    @property
    def temperature(self) -> float:
        """The effective weight of the KL in the loss: 1 is the posterior, below 1 a "cold" one, above a "warm" one."""
        return self.penalty / self.kl if self.kl > NEGLIGIBLE else 1.0

    def __str__(self) -> str:
        """A few lines to read."""
        numbers = f"nll {self.nll:.6g}, kl {self.kl:.6g}, elbo {self.elbo:.6g} nats per example"
        lines = [numbers, f"effective temperature {self.temperature:.6g}"]
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
    """Compare the KL that a model adds to its loss with the one that the evidence lower bound asks for.

    Keras averages the log-likelihood over the examples, so the KL of the weights must be divided by their number, and
    that of latents averaged. TFP's layers leave that to the user, and `activity_regularizer=KLDivergenceRegularizer` is
    counted twice. Seen are the Dense and Convolution layers of TFP, its DenseVariational, KLDivergenceRegularizer and
    KLDivergenceAddLoss, and the layers of this package; not what a loss function of the user's own adds. The layers'
    penalties are those of the first 1,024 rows.

    Args:
        model: Any tf_keras model whose output is a distribution.
        x: Training inputs `[N, ...]`.
        y: Training targets `[N, D]`, or `[N]`.
        num_examples: Size of the training set, if x is a part of it.
        num_samples: Draws for the expected log-likelihood.
        seed: Of the draws.

    Raises:
        TypeError: If the model is not one of tf_keras.
        ValueError: If the inputs or targets do not fit it, or it puts out no distribution.
    """
    require_model(model)
    nll = -float(mean_log_prob(model, x, y, num_samples=num_samples, seed=seed).mean())
    rows = np.asarray(x, np.float32)
    count = len(rows) if num_examples is None else num_examples
    require_count("num_examples", count)
    require(count >= len(rows), f"num_examples must be at least the {len(rows)} rows of x, got {count}")
    batch = rows[:_ROWS]
    passes, halves = _passes(model, batch), _passes(model, batch[: max(1, len(batch) // 2)])
    layers = tuple(
        LayerAudit(
            name=layer.name,
            kl=float(passes[:, 0, i].mean()) / (count if kind == "weights" else 1),
            penalty=float(passes[:, 1, i].mean()),
            half_batch_kl=float(halves[:, 0, i].mean()) / (count if kind == "weights" else 1),
            half_batch_penalty=float(halves[:, 1, i].mean()),
            standard_error=float(passes[:, 1, i].std() / np.sqrt(_PASSES)),
            kind=kind,
            point_bias=getattr(layer, "bias_posterior", None) is not None and layer.bias_prior is None,
        )
        for i, (layer, kind) in enumerate(_divergent_layers(model))
    )
    penalty = sum(layer.penalty for layer in layers)
    return ElboAudit(
        nll=nll,
        kl=sum(layer.kl for layer in layers),
        penalty=penalty,
        other=float(passes[:, 1, -1].mean()) - penalty,
        layers=layers,
        warnings=tuple(line for layer in layers for line in layer.mistakes(count, len(batch))),
    )


def _divergent_layers(model: tf_keras.Model) -> list[tuple[Any, str]]:
    """The layers that have a KL, each with the kind of it."""
    found = []
    for layer in layers_of(model):
        if isinstance(layer, MeanFieldDense | tfp.layers.DenseVariational) or hasattr(layer, "kernel_posterior"):
            found.append((layer, "weights"))
        elif isinstance(layer, NormalUnits) or _regularizer(layer) is not None:
            found.append((layer, "latents"))
    return found


def _regularizer(layer: Any) -> Any:
    """TFP's KL regulariser of a layer of latents, if it has one."""
    candidate = getattr(layer, "activity_regularizer", None)
    if isinstance(layer, tfp.layers.KLDivergenceAddLoss):
        candidate = layer._regularizer
    return candidate if isinstance(candidate, tfp.layers.KLDivergenceRegularizer) else None


def _passes(model: tf_keras.Model, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Pass the rows through the model, several times.

    Returns:
        `[passes, 2, layers + 1]`: the right KL and the penalty of each divergent layer; last, as a penalty, all that
        the model adds to its loss.
    """

    def forward(x: tf.Tensor) -> tf.Tensor:
        layers = _divergent_layers(model)
        with _recorded_latents(layers) as latents:
            model(x, training=False)
        kls = [_kl(layer, latents) for layer, _ in layers]
        penalties = [tf.add_n(layer.losses or [tf.zeros(())]) for layer, _ in layers]
        return tf.stack([[*kls, 0.0], [*penalties, tf.add_n(model.losses or [tf.zeros(())])]])

    compiled = tf.function(forward, autograph=False).get_concrete_function(tf.TensorSpec(rows.shape))
    counters = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    passes = np.array([compiled(tf.constant(rows)).numpy() for _ in range(_PASSES)], np.float64)
    for variable, value in counters:  # A layer counts its draws: the training to come must not depend on the audit.
        variable.assign(value)
    return passes


@contextlib.contextmanager
def _recorded_latents(layers: list[tuple[Any, str]]) -> Iterator[dict[Any, tf.Tensor]]:
    """While this lasts, TFP's regularisers note down the mean KL of the latents that they are shown."""
    latents: dict[Any, tf.Tensor] = {}
    regularizers = [r for layer, _ in layers if (r := _regularizer(layer)) is not None]
    originals = [regularizer._kl_divergence_fn for regularizer in regularizers]

    def noting(regularizer: Any, original: Any) -> Any:
        def penalty(latent: tfd.Distribution) -> tf.Tensor:
            latents[regularizer] = tf.reduce_mean(_divergence(latent, regularizer.distribution_b))
            return original(latent)

        return penalty

    for regularizer, original in zip(regularizers, originals, strict=True):
        regularizer._kl_divergence_fn = noting(regularizer, original)
    try:
        yield latents
    finally:
        for regularizer, original in zip(regularizers, originals, strict=True):
            regularizer._kl_divergence_fn = original


def _kl(layer: Any, latents: dict[Any, tf.Tensor]) -> tf.Tensor:
    """KL of all of a layer's weights, or the mean KL of its latents, in nats."""
    if isinstance(layer, MeanFieldDense):
        return layer.weights_kl()
    if isinstance(layer, NormalUnits):
        return layer.kl
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
