"""What a loss is beside the evidence lower bound, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from variational_bnn.prediction.compiled_loss import CLOSE, LAPLACE, NONE, NORMAL, OWN, CompiledLoss
from variational_bnn.prediction.layer_audit import NEGLIGIBLE, LayerAudit


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the loss of a batch is.

    Attributes:
        loss: What the compiled loss is; None if the model is not compiled.
        layers: The audit of each layer that has a KL.
        rows: Size of the batch.
        num_examples: Size of the training set.
        mean_row_weight: Mean of the sample weights.
        num_replicas: Number of replicas that train the model together.
        has_density: Whether the model puts out a distribution.
        has_prior_penalty: Whether point weights have a prior.
    """

    loss: CompiledLoss | None
    layers: Sequence[LayerAudit]
    rows: int
    num_examples: int
    mean_row_weight: float
    num_replicas: int
    has_density: bool
    has_prior_penalty: bool

    @property
    def likelihood_weight(self) -> float:
        """Weight of the mean log-likelihood of the batch in the loss."""
        if self.loss is None:
            return 1.0
        if self.loss.likelihood == NONE:
            return math.nan
        weight = self.loss.weight
        if self.loss.likelihood in (NORMAL, LAPLACE):
            weight = self.loss.own_weight if self._is_of_own else 1.0
        return weight * self.mean_row_weight * (self.rows if self.loss.summed else 1)

    @property
    def sentence(self) -> str:
        """What the loss is, in one sentence."""
        if self.loss is None:
            return "the model is compiled without a loss, or not at all, so only what its layers add to one was audited"
        if self.loss.likelihood == NONE:
            return "the compiled loss is no sum of a weighted log-likelihood, of the KL and of a constant"
        weight, noise = self.likelihood_weight, "" if self._is_of_own else self._of_noise
        if not self._is_right:
            of_kl = f"has weight {weight:.4g} and the KL {self._kl_weight:.4g}"
            return f"the loss is not {self._bound}: the log-likelihood{noise} {of_kl}"
        times = "" if _is_one(weight) else f"{weight:.4g} times "
        batch = f" in a batch of {self.rows} rows" if self.loss.summed else ""
        return f"the loss is {times}{self._bound}{noise}{batch}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The mistakes of the layers and of the compiled loss, one line each."""
        lines = [line for layer in self.layers for line in self._mistakes(layer)]
        if self.loss is None:
            return tuple(lines)
        return (
            *lines,
            *(line for line in (self._of_family(), self._of_noise_model(), self._of_weight(), self._of_kl()) if line),
        )

    def _mistakes(self, layer: LayerAudit) -> list[str]:
        """What is wrong with the KL of a layer. With a sum over all rows, the whole KL is right."""
        whole = self.loss is not None and self.loss.summed and layer.kind != "latents"
        weight = float(self.num_examples) if whole and layer.has_weight(self.num_examples) else self.likelihood_weight
        return layer.mistakes(self.num_examples, self.rows, weight, self.num_replicas)

    def _of_family(self) -> str:
        assert self.loss
        return f"{self.sentence}: the loss is no evidence lower bound" if self.loss.likelihood == NONE else ""

    def _of_noise_model(self) -> str:
        """That the noise of the model's own distribution is not the one of the loss."""
        assert self.loss
        if not self.has_density or self.loss.likelihood in (OWN, NONE) or (self._is_of_own and self._is_right):
            return ""
        power = f"its own log-likelihood to the power {self.loss.own_weight:.4g}"
        own = power if self._is_of_own else "nothing in the loss trains the model's own noise"
        return f"the compiled loss is not the nll of the model's distribution, but{self._of_noise}: {own}"

    def _of_weight(self) -> str:
        """That the log-likelihood has another weight than the KL and the prior penalty."""
        assert self.loss
        weight = self.likelihood_weight
        if weight < 0:
            return "the log-likelihood has the wrong sign: the loss must have -log_prob"
        if self.loss.likelihood == NONE or not (self._has_kl or self.has_prior_penalty):
            return ""
        if self.loss.summed:
            return self._of_sum()
        if _is_one(weight) or (self._is_right and not self.has_prior_penalty):
            return ""
        if self.has_density and self.loss.likelihood != OWN:
            return ""  # Its weight is named with its noise.
        rows = "" if _is_one(self.mean_row_weight) else f" (the sample weights have mean {self.mean_row_weight:.4g})"
        power = f"a likelihood to the power {weight:.4g}, or a KL and a prior penalty of weight {1 / weight:.4g}"
        return f"the log-likelihood has weight {weight:.4g}, not 1{rows}: {power}"

    def _of_sum(self) -> str:
        """That a sum over the batch grows with it, unless the KL does so, too."""
        if self._is_right and all(layer.grows(self.rows) for layer in self._with_kl) and not self.has_prior_penalty:
            return ""
        total = "the compiled loss is summed over the rows of a batch"
        if self._with_kl and all(x.kind != "latents" and x.has_weight(self.num_examples) for x in self._with_kl):
            strength = f"{self._kl_weight * self.rows / self.likelihood_weight:.4g} / B"
            return f"{total}, and the KL is not divided: in batches of B rows the KL is {strength} times too strong"
        if self._is_right:
            return (
                f"{total}: right for {self.rows} rows alone, in batches of B the KL is {self.rows} / B times too strong"
            )
        return f"{total}: with {self.rows} its weight is {self.likelihood_weight:.4g}, the KL's {self._kl_weight:.4g}"

    def _of_kl(self) -> str:
        """That the compiled loss counts the KL itself, if that makes its weight wrong."""
        assert self.loss
        if self._is_right or not self.loss.kl_weight:
            return ""
        own = f"the compiled loss counts the KL itself, with weight {self.loss.kl_weight:.4g}"
        return f"{own}, beside what Keras adds for the layers"

    @property
    def _is_of_own(self) -> bool:
        assert self.loss
        return self.has_density and math.isfinite(self.loss.own_weight)

    @property
    def _with_kl(self) -> list[LayerAudit]:
        return [layer for layer in self.layers if layer.kl > NEGLIGIBLE]

    @property
    def _has_kl(self) -> bool:
        return bool(self._with_kl)

    @property
    def _is_right(self) -> bool:
        """Whether the KL of every layer has the weight of the log-likelihood."""
        weight = self.likelihood_weight
        return weight > 0 and all(layer.has_weight(weight) for layer in self._with_kl)

    @property
    def _kl_weight(self) -> float:
        return sum(layer.penalty for layer in self.layers) / max(sum(layer.kl for layer in self.layers), NEGLIGIBLE)

    @property
    def _bound(self) -> str:
        name = "the negative evidence lower bound" if self._has_kl else "the negative log-likelihood"
        return f"{name} plus the prior penalty" if self.has_prior_penalty else name

    @property
    def _of_noise(self) -> str:
        """The noise that the compiled loss implies, if it is not the model's own."""
        assert self.loss
        if self.loss.likelihood == OWN:
            return ""
        if self.loss.likelihood == NORMAL:
            noise = f"Normal noise of variance {self.loss.scale**2:.4g} (sd {self.loss.scale:.4g})"
        elif self.loss.likelihood == LAPLACE:
            noise = f"Laplace noise of scale {self.loss.scale:.4g}"
        else:
            return f" of a {self.loss.likelihood}"
        place = (
            "the mean of the output's distribution" if self.loss.about_mean else "a draw from the output's distribution"
        )
        return f" of {noise} about {place if self.has_density else 'the output'}"


def _is_one(weight: float) -> bool:
    return abs(weight - 1) <= CLOSE
