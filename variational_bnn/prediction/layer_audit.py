"""The KL of each layer of a model: what the evidence lower bound has, and what the layer adds to the loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from variational_bnn.models.backend import layers_of, tf, tf_keras, tfd, tfp
from variational_bnn.models.stochastic import Variational

TOLERANCE = 0.02
"""Largest relative deviation of a KL's weight that counts as equal, besides four standard errors of its penalty."""

NEGLIGIBLE = 1e-6
"""The largest KL, in nats per example, that tells nothing of its weight: that of a posterior that is its prior."""


@dataclass(frozen=True, kw_only=True)
class LayerAudit:
    """The KL of one layer: what the evidence lower bound has, and what the loss has.

    All numbers are in nats per example. The batch holds the rows that were given to `audit_elbo`, at most the first
    1,024; the half batch holds the first half of them. A penalty that grows with the batch is told by their comparison.

    Attributes:
        name: Name of the layer.
        kl: KL in the bound for the batch: KL(weights or shared units) / num_examples, or the mean KL of the latents.
        mean_kl: The KL divided by the number of weights instead of num_examples, of the kernel and the bias apart where
            both have one, as a mean over weights has it; 0 for latents.
        penalty: What the layer adds to the loss of the batch, the mean of 20 passes, and what a compiled loss that
            counts the KL adds for this layer.
        half_batch_kl: KL in the bound for the half batch.
        half_batch_penalty: What is added to the loss of the half batch, the mean of 20 passes.
        standard_error: Standard error of `penalty`, which is 0 if the layer computes its KL in closed form.
        kind: "weights", "units" or "latents".
        point_bias: Whether the layer's bias has a posterior but no prior. It has no KL and, as TFP's default, no
            variance.

    Example:
        A layer of 20 examples whose KL is not divided by their number:

        >>> import variational_bnn as vbnn
        >>> kls = {"kl": 0.1, "mean_kl": 0.25, "penalty": 2.0, "half_batch_kl": 0.1, "half_batch_penalty": 2.0}
        >>> layer = vbnn.LayerAudit(name="dense", kind="weights", **kls, standard_error=0.0, point_bias=False)
        >>> layer.mistakes(num_examples=20, rows=20)
        ['dense: full KL: 20 times too strong, since it is not divided by num_examples']
    """

    name: str
    kl: float
    mean_kl: float
    penalty: float
    half_batch_kl: float
    half_batch_penalty: float
    standard_error: float
    kind: str
    point_bias: bool

    @property
    def weight(self) -> float:
        """The weight of the KL in the loss, `penalty / kl`; 1 if there is no KL."""
        return self.penalty / self.kl if self.kl > NEGLIGIBLE else 1.0

    def mistakes(
        self, num_examples: int, rows: int, likelihood_weight: float = 1.0, num_replicas: int = 1
    ) -> list[str]:
        """What is wrong, one line each.

        Args:
            num_examples: Size of the training set.
            rows: Size of the batch.
            likelihood_weight: Weight of the mean log-likelihood of the batch in the loss. A KL of the same weight is
                right: the loss is then a multiple of the bound.
            num_replicas: Number of replicas that train the model together.
        """
        lines = []
        if self.kl > NEGLIGIBLE and not self.has_weight(likelihood_weight):
            lines = [line] if (line := self._wrong_weight(num_examples, rows, num_replicas)) else []
        if self.point_bias:
            lines.append("its bias has no prior: a point estimate without KL")
        return [f"{self.name}: {line}" for line in lines]

    def has_weight(self, expected: float) -> bool:
        """Whether the weight of the KL is known, and the expected one within the tolerance."""
        return not self._is_noisy() and self._is(self.weight, expected)

    def grows(self, rows: int) -> bool:
        """Whether the penalty grows with the batch of this many rows."""
        half = self.half_batch_penalty / self.half_batch_kl if self.half_batch_kl > NEGLIGIBLE else self.weight
        return self._is(half, self.weight * (rows // 2) / rows) and not self._is(half, self.weight)

    def _wrong_weight(self, num_examples: int, rows: int, num_replicas: int) -> str:
        """What a weight that is not 1 comes from."""
        weight, shared = self.weight, self.kind != "latents"
        divisor = round(num_examples / weight) if weight > 0 else 0
        mean = self.mean_kl / self.kl
        if self._is_noisy():
            return f"its KL is estimated with too much noise to tell its weight from 1: got {weight:.2g}"
        if self.grows(rows):
            return f"batch-summed KL: {weight:.4g} times too strong in a batch of {rows}, and grows with it"
        if self._is(weight, 0.0):
            return "its KL is not in the loss"
        if self._is(weight, 1.0):
            return ""
        if num_replicas > 1 and self._is(weight, num_replicas):
            return f"its KL is counted once for each of the {num_replicas} replicas: {num_replicas} times too strong"
        if num_replicas > 1 and self._is(weight, 1 / num_replicas):
            return (
                f"its KL is divided by the {num_replicas} replicas, which Keras does itself: it has weight {weight:.4g}"
            )
        if shared and num_examples > 1 and self._is(weight, num_examples):
            return f"full KL: {weight:.4g} times too strong, since it is not divided by num_examples"
        if self._is(weight, 2.0):
            return "double KL: it is counted twice"
        if shared and self._is(weight, mean):
            return f"mean KL: averaged over its weights, not divided by num_examples: it has weight {weight:.4g}"
        if shared and self._is(weight, mean / num_examples):
            return f"mean KL: averaged over its weights instead of summed: it has weight {weight:.4g}"
        if shared and 1 < divisor <= num_examples / 2 and self._is(weight, num_examples / divisor):
            by = f"divided by {divisor}, perhaps the number of batches, and not by the {num_examples} examples"
            return f"its KL has weight {weight:.4g}, not 1: it is {by}"
        return f"its KL has weight {weight:.4g}, not 1"

    def _is_noisy(self) -> bool:
        """Whether the penalty is estimated with so much noise that it tells nothing."""
        return 4 * self.standard_error > max(self.kl, abs(self.penalty)) / 2

    def _is(self, weight: float, expected: float) -> bool:
        """Whether the weights are equal within the tolerance and four standard errors."""
        return abs(weight - expected) <= TOLERANCE * expected + 4 * self.standard_error / self.kl + 1e-6


def layers_with_kl(model: tf_keras.Model) -> list[tuple[Any, str]]:
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


def has_point_bias(layer: Any) -> bool:
    """Whether the bias of a layer has a posterior but no prior, as TFP's layers have it by default."""
    return getattr(layer, "bias_posterior", None) is not None and getattr(layer, "bias_prior", None) is None


@contextlib.contextmanager
def recorded_latents(layers: list[tuple[Any, str]]) -> Iterator[dict[Any, tf.Tensor]]:
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


def kl_of(layer: Any, latents: dict[Any, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """KL of all of a layer's weights, or the mean KL of its latents, in nats; and the mean over the weights."""
    if isinstance(layer, Variational):
        kl = tf.cast(layer.kl, tf.float64)
        if layer.kind == "latents":
            return kl, tf.zeros_like(kl)
        size = layer.loc.shape.num_elements()
        return kl * layer.num_examples, kl * layer.num_examples / size
    if isinstance(layer, tfp.layers.DenseVariational):
        pairs = [(layer._posterior(0.0), layer._prior(0.0))]
    elif (regularizer := _regularizer(layer)) is not None:
        kl = tf.cast(latents[regularizer], tf.float64)
        return kl, tf.zeros_like(kl)
    else:
        pairs = [(layer.kernel_posterior, layer.kernel_prior), (layer.bias_posterior, layer.bias_prior)]
        pairs = [(q, prior) for q, prior in pairs if q is not None and prior is not None]
    kls = [tf.cast(_divergence(q, prior), tf.float64) for q, prior in pairs]
    means = [kl / max(1, q.event_shape.num_elements() or 1) for kl, (q, _) in zip(kls, pairs, strict=True)]
    return sum(kls, tf.zeros((), tf.float64)), sum(means, tf.zeros((), tf.float64))


def _regularizer(layer: Any) -> Any:
    """TFP's KL regulariser of a layer of latents, or None."""
    candidate = getattr(layer, "activity_regularizer", None)
    if isinstance(layer, tfp.layers.KLDivergenceAddLoss):
        candidate = layer._regularizer
    return candidate if isinstance(candidate, tfp.layers.KLDivergenceRegularizer) else None


def _divergence(q: tfd.Distribution, prior: Any) -> tf.Tensor:
    """KL(q || prior) in closed form where TFP knows one, else over 1,000 draws."""
    prior = prior() if callable(prior) else prior
    try:
        return tf.reduce_sum(tfd.kl_divergence(q, prior), axis=[])
    except NotImplementedError:
        draws = q.sample(1000, seed=0)
        return tf.reduce_mean(q.log_prob(draws) - prior.log_prob(draws), axis=0)
