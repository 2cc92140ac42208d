"""An audit of the loss that a model is trained on, of this package or of bare TFP layers, against its lower bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base.checks import Array, finite_table, flattened, require, require_all, require_count
from variational_bnn.models.backend import layers_of, require_model, tf_keras
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.point_prior import prior_penalties, priors_of
from variational_bnn.prediction.compiled_loss import NONE, CompiledLoss, read
from variational_bnn.prediction.function_samples import FunctionSamples
from variational_bnn.prediction.layer_audit import NEGLIGIBLE, LayerAudit, has_point_bias, layers_with_kl
from variational_bnn.prediction.loss_terms import Measurement, Terms, measure
from variational_bnn.prediction.loss_verdict import Verdict
from variational_bnn.prediction.predict import NO_DENSITY, mean_log_prob


@dataclass(frozen=True, kw_only=True)
class ElboAudit:
    """The loss of a model against its evidence lower bound, in nats per example; `str(audit)` is a summary.

    Attributes:
        nll: Mean over function samples and rows of -log p(y given x, sample); with `ConditionalUnits` that of the bound
            of their K draws. If the model puts out a tensor, p is the noise that the compiled loss implies; NaN if it
            implies none.
        kl: KL in the bound: KL(weights and shared units) / num_examples plus the mean KL of the latents.
        penalty: What the loss has of that KL: what the layers add, and what a compiled loss that counts it adds.
        prior_penalty: What a `NormalPrior` of point weights adds to the loss, -log p(w) / N up to a constant.
        other: What else the model adds to the loss, such as weight decay.
        loss: The whole loss that `fit` minimises, of the batch of at most the first 1,024 rows, the mean of 20 passes,
            with layers such as Dropout and BatchNormalization as in prediction; NaN if the model is not compiled.
        likelihood_weight: Weight of the mean log-likelihood of the batch in that loss: 1 in the bound; the number of
            rows, if the loss is summed over them; NaN if the loss has no log-likelihood. It is that of the model's
            own distribution of y, unless `loss_kind` says that the loss is of another likelihood.
        loss_kind: What the loss is, in one sentence.
        layers: The audit of each layer that has a KL, in the model's order.
        warnings: The mistakes that were noticed, one line each; empty if the loss is the negative evidence lower bound
            plus the `prior_penalty`, or in batches of any size the same multiple of it.

    Example:
        >>> import variational_bnn as vbnn
        >>> terms = {"nll": 1.5, "kl": 0.5, "penalty": 1.0, "prior_penalty": 0.0, "other": 0.0, "loss": 5.5}
        >>> kind = "the log-likelihood has weight 3 and the KL 2"
        >>> audit = vbnn.ElboAudit(**terms, likelihood_weight=3.0, loss_kind=kind, layers=(), warnings=())
        >>> audit.elbo, round(audit.temperature, 3)
        (-2.0, 0.667)
    """

    nll: float
    kl: float
    penalty: float
    prior_penalty: float
    other: float
    loss: float
    likelihood_weight: float
    loss_kind: str
    layers: tuple[LayerAudit, ...]
    warnings: tuple[str, ...]

    @property
    def elbo(self) -> float:
        """The evidence lower bound per example, `-(nll + kl)`."""
        return -(self.nll + self.kl)

    @property
    def temperature(self) -> float:
        """The weight of the KL in the loss relative to that of the log-likelihood; 1 if there is no KL.

        It is `penalty / kl / likelihood_weight`. At 1 the loss is the negative evidence lower bound, or a multiple of
        it. Below 1 the posterior is called cold, above 1 warm. NaN if the loss has no log-likelihood.
        """
        return self.penalty / self.kl / self.likelihood_weight if self.kl > NEGLIGIBLE else 1.0

    def __str__(self) -> str:
        """The terms, the temperature, what the loss is, and one line for each warning."""
        numbers = f"nll {self.nll:.6g}, kl {self.kl:.6g}, elbo {self.elbo:.6g} nats per example"
        lines = [numbers, f"effective temperature {self.temperature:.6g}"]
        if self.prior_penalty:
            lines.append(f"prior penalty of the point weights {self.prior_penalty:.6g} nats per example")
        return "\n".join([*lines, self.loss_kind, *(f"warning: {line}" for line in self.warnings)])


def audit_elbo(
    model: tf_keras.Model,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    num_examples: int | None = None,
    sample_weight: npt.ArrayLike | None = None,
    num_samples: int = 200,
    seed: int = 0,
) -> ElboAudit:
    """Compare the loss that `fit` minimises with the negative evidence lower bound of the model.

    Keras averages the compiled loss over the examples of a batch. So the KL of the weights must be divided by the
    number of training examples, and the KL of latents averaged over the batch. TFP's layers leave both to the user, and
    count the KL of `activity_regularizer=KLDivergenceRegularizer(...)` twice. A compiled loss may have another weight
    than the KL, be summed over the batch, or be another likelihood than the model's: "mse" is that of Normal noise of
    variance 1/2 for each output, divided by their number.

    The compiled loss, with its weights and its reduction, and all that the model adds to it, are compared with the
    exact nll and KL of the same passes, also at weights that differ a little, as after more training. Of a model that
    is not compiled only its layers are audited. Not seen are a training loop or `train_step` of one's own. If the model
    puts out a tensor instead of a distribution, it must be compiled with a loss that implies a likelihood: squared or
    absolute errors or a cross-entropy.

    The KL is known of the Dense and Convolution layers of TFP, its `DenseVariational`, `KLDivergenceRegularizer` and
    `KLDivergenceAddLoss`, and the layers of this package. The loss is that of the first 1,024 rows; that of a batch of
    32 is audited by passing 32 rows and `num_examples`. A model of several replicas is audited as they train together.
    The model, its metrics and its random numbers are left as they were.

    Args:
        model: Any tf_keras model whose output is a distribution, or a tensor if the model is compiled.
        x: Training inputs `[N, ...]`; `[N]` if the model takes one feature.
        y: Training targets `[N, D]`, or `[N]` if D = 1 or y is a class, as `fit` is given them.
        num_examples: Size of the training set if x is a part of it; N by default.
        sample_weight: Weights of the rows `[N]`, if `fit` is given weights of rows or of classes.
        num_samples: Number of function samples for the expected log-likelihood, >= 1.
        seed: Seed of these samples, >= 0.

    Returns:
        The terms of the bound and of the loss, layer by layer, with a warning for each mistake that was noticed.

    Raises:
        TypeError: If `model` is not a tf_keras model.
        ValueError: If x, y or sample_weight does not fit the model or is not finite, the model puts out a tensor and is
            not compiled, num_examples is below the number of rows, num_samples < 1 or seed < 0, or the model has other
            latents beside a `ConditionalUnits`.

    Example:
        The KL of a bare TFP layer is not divided by the number of examples.

        >>> import numpy as np
        >>> import tensorflow_probability as tfp
        >>> import tf_keras
        >>> import variational_bnn as vbnn
        >>> dense = tfp.layers.DenseFlipout(2, bias_posterior_fn=None)
        >>> model = tf_keras.Sequential([tf_keras.Input((3,)), dense, tfp.layers.IndependentNormal(1)])
        >>> model.compile("adam", loss=lambda y, density: -density.log_prob(y))
        >>> audit = vbnn.audit_elbo(model, np.ones((40, 3)), np.ones(40), num_samples=5)
        >>> print(round(audit.temperature))
        40
        >>> print(*audit.warnings)  # doctest: +ELLIPSIS
        dense_flipout...: full KL: 40 times too strong, since it is not divided by num_examples
        >>> print(audit.loss_kind)
        the loss is not the negative evidence lower bound: the log-likelihood has weight 1 and the KL 40
    """
    require_model(model)
    draws = _draws_of_bound(model)
    samples = FunctionSamples.of(model, x, num_samples, seed)
    rows, has_density = samples.x, samples.sampler.has_density
    weights = _row_weights(sample_weight, len(rows))
    count = len(rows) if num_examples is None else num_examples
    require_count("num_examples", count)
    require(count >= len(rows), f"num_examples must be at least the {len(rows)} rows of x, got {count}")
    require(has_density or model.compiled_loss is not None, NO_DENSITY)
    nll = math.nan
    if has_density:
        nll = -float(mean_log_prob(model, rows, y, num_samples=num_samples, num_draws=draws, seed=seed).mean())
    targets = _targets(y, len(rows))
    passes = measure(model, rows, targets, weights if sample_weight is not None else None)
    loss = read(passes, targets, weights) if model.compiled_loss is not None and model.loss else None
    if loss and not has_density and loss.likelihood != NONE:
        nll = _implied_nll(samples, targets, loss)
    layers = _layer_audits(model, passes, loss, count)
    verdict = Verdict(
        loss=loss,
        layers=layers,
        rows=len(passes.batch[0].rows),
        num_examples=count,
        mean_row_weight=float(weights.mean()),
        num_replicas=passes.num_replicas,
        has_density=has_density,
        has_prior_penalty=bool(priors_of(model)),
    )
    prior_penalty = float(sum(prior_penalties(model)))
    added = float(np.mean([terms.added for terms in passes.batch]))
    other = added - float(np.sum([terms.penalties for terms in passes.batch])) / len(passes.batch)
    return ElboAudit(
        nll=nll,
        kl=sum(layer.kl for layer in layers),
        penalty=sum(layer.penalty for layer in layers),
        prior_penalty=prior_penalty,
        other=other * (1 + (loss.other_weight if loss else 0)) - prior_penalty,
        loss=added + float(np.mean([terms.compiled_loss for terms in passes.batch])) if loss else math.nan,
        likelihood_weight=verdict.likelihood_weight,
        loss_kind=verdict.sentence,
        layers=layers,
        warnings=(*verdict.warnings, *_mistakes_of_priors(model, count)),
    )


def _targets(y: npt.ArrayLike, num_rows: int) -> npt.NDArray[Any]:
    """Targets in their own shape, as `fit` takes them, but checked."""
    values = np.asarray(y)
    require(values.ndim > 0 and len(values) == num_rows, f"y must have {num_rows} rows, got {list(values.shape)}")
    finite_table("y", flattened(values))
    return values


def _row_weights(sample_weight: npt.ArrayLike | None, num_rows: int) -> Array:
    """Weights of the rows, 1 by default."""
    if sample_weight is None:
        return np.ones(num_rows)
    weights = np.asarray(sample_weight, np.float64)
    require(weights.shape == (num_rows,), f"sample_weight must have shape [{num_rows}], got {list(weights.shape)}")
    require_all(np.isfinite(weights) & (weights >= 0), weights, "sample_weight must be finite and >= 0")
    require(bool(weights.any()), "sample_weight must have a weight above 0, got zeros")
    return weights


def _implied_nll(samples: FunctionSamples, y: npt.NDArray[Any], loss: CompiledLoss) -> float:
    """The mean nll of the noise that a loss implies about the outputs of function samples."""
    start, total = 0, 0.0
    for blocks in samples.moments():
        losses: list[Array] = []
        for outputs, _ in blocks:
            rows = slice(start, start + outputs.shape[2])
            draws = outputs.astype(np.float64).reshape(-1, *outputs.shape[2:])
            losses += [loss.nll(y[rows], draw) for draw in draws]
        start = rows.stop
        total += float(np.mean(losses, axis=0).sum())
    return total / start


def _layer_audits(
    model: tf_keras.Model, passes: Measurement, loss: CompiledLoss | None, num_examples: int
) -> tuple[LayerAudit, ...]:
    """The audit of each layer, of what it adds and of what a compiled loss that counts the KL adds for it."""
    batch, half = passes.batch, passes.half
    weight, adds = (loss.kl_weight if loss else 0.0), any(np.any(terms.penalties) for terms in batch)

    def penalties(terms: Terms) -> Array:
        return terms.penalties * (1 + weight) if adds else terms.kls * weight

    audits = []
    for i, (layer, kind) in enumerate(layers_with_kl(model)):
        divisor = 1 if kind == "latents" else num_examples
        own = np.array([penalties(terms)[i] for terms in batch])
        audit = LayerAudit(
            name=layer.name,
            kl=float(np.mean([terms.kls[i] for terms in batch])) / divisor,
            mean_kl=float(np.mean([terms.mean_kls[i] for terms in batch])),
            penalty=float(own.mean()),
            half_batch_kl=float(np.mean([terms.kls[i] for terms in half])) / divisor,
            half_batch_penalty=float(np.mean([penalties(terms)[i] for terms in half])),
            standard_error=float(own.std() / np.sqrt(len(own))),
            kind=kind,
            point_bias=has_point_bias(layer),
        )
        audits.append(audit)
    return tuple(audits)


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
