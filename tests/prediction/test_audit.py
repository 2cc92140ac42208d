"""The audit of the loss of this package's models, and what cannot be audited."""

from __future__ import annotations

import dataclasses

import by_hand
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from variational_bnn.base import Network
from variational_bnn.models.dense import DenseReparameterization
from variational_bnn.models.latents import ConditionalUnits, NormalUnits
from variational_bnn.models.likelihood_head import MixtureHead
from variational_bnn.models.likelihoods import Normal
from variational_bnn.models.losses import KLAnnealing, negative_log_likelihood
from variational_bnn.models.point_prior import NormalPrior
from variational_bnn.models.variational_model import VariationalModel
from variational_bnn.prediction.audit import ElboAudit, audit_elbo
from variational_bnn.prediction.predict import sample_functions

N = 40
RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))
NETWORK = Network(input_shape=(3,), output_size=2, hidden_units=(4,), activation="tanh", likelihood=Normal())
FEW = {"num_samples": 5}


@pytest.mark.parametrize(
    ("kind", "point_prior"), [*((kind, True) for kind in by_hand.KINDS), *((kind, False) for kind in by_hand.HIDDEN)]
)
def test_the_models_of_this_package_have_the_right_kl_and_no_warning(kind: str, point_prior: bool) -> None:
    settings = {"initial_scale": 0.3} if kind in by_hand.HIDDEN else {}
    model = by_hand.build(kind, NETWORK, N, **settings, **({} if point_prior else {"point_prior": False}))
    by_hand.widen(model)
    audit = audit_elbo(model, X, Y, **FEW)
    _, kl = by_hand.nll_and_kl(kind, model, NETWORK, X, Y, N, **settings)
    assert audit.kl == pytest.approx(kl, rel=1e-5)
    assert audit.penalty == pytest.approx(kl, rel=1e-5)
    assert audit.temperature == pytest.approx(1.0)
    has_penalty = kind in by_hand.POINT and point_prior
    penalty = by_hand.prior_penalty(kind, model, NETWORK, N) if has_penalty else 0.0
    assert audit.prior_penalty == pytest.approx(penalty, rel=1e-5)
    assert ("prior penalty of the point weights" in str(audit)) == has_penalty
    expected = {"output": set(), "conditional": set(), "shared": {"units"}, "amortized": {"latents"}}
    assert {layer.kind for layer in audit.layers} == expected.get(kind, {"weights"})
    assert audit.other == pytest.approx(0.0, abs=1e-6)
    assert audit.elbo == -(audit.nll + audit.kl)
    assert audit.warnings == ()


@pytest.mark.parametrize("kind", by_hand.ESTIMATORS)
def test_the_nll_of_a_linear_layer_with_known_noise_is_the_closed_form(kind: str) -> None:
    sigma, samples = 0.7, 2000
    network = Network(input_shape=(3,), output_size=2, hidden_units=(), likelihood=Normal(scale=sigma))
    model = by_hand.build(kind, network, N)
    by_hand.widen(model)
    (kernel, kernel_sd), (bias, bias_sd) = by_hand.posterior(model, "parameters").values()
    mean, variance = X @ kernel + bias, X**2 @ kernel_sd**2 + bias_sd**2
    error = (Y - mean) ** 2 + variance
    expected = (0.5 * np.log(2 * np.pi * sigma**2) + error / (2 * sigma**2)).sum(-1).mean()
    rng = np.random.default_rng(0)
    kernels = kernel + kernel_sd * rng.normal(size=(5000, *kernel.shape))
    functions = X @ kernels + bias + bias_sd * rng.normal(size=(5000, 1, 2))
    one_draw = ((Y - functions) ** 2 / (2 * sigma**2)).sum(-1).mean(-1).std()
    audit = audit_elbo(model, X, Y, num_samples=samples, seed=3)
    assert abs(audit.nll - expected) < 4 * one_draw / np.sqrt(samples)
    without_spread = expected - (variance / (2 * sigma**2)).sum(-1).mean()
    assert abs(audit.nll - without_spread) > 20 * one_draw / np.sqrt(samples)  # The means alone would not do.


def test_the_nll_of_conditional_latents_is_what_training_shows() -> None:
    """The mean of 200 evaluations of the bound with 3 draws; with one draw it would be larger."""
    network, evaluations = dataclasses.replace(NETWORK, likelihood=Normal(scale=0.5)), 200
    model = by_hand.build("conditional", network, N, num_draws=3, initial_scale=1.0)
    by_hand.widen(model)
    model.compile(loss=negative_log_likelihood)
    x, y = (np.tile(values, (evaluations, 1)).astype(np.float32) for values in (X, Y))
    shown = model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)["nll"]
    spread = -model(x).log_prob(y).numpy().astype(np.float64).reshape(evaluations, N).mean(axis=1)
    error = spread.std() * np.sqrt(2 / evaluations)
    assert abs(audit_elbo(model, X, Y, num_samples=evaluations).nll - shown) < 4.5 * error
    functions = sample_functions(model, X, num_samples=evaluations).astype(np.float64)
    of_one_draw = by_hand.normal_nll(Y, functions, np.array(0.5)).mean()
    assert of_one_draw - shown > 10 * error


def test_weights_are_the_same_for_all_draws_of_the_latents_of_a_bound() -> None:
    """As in training. With weights of their own, more draws would make the nll of the bound smaller."""
    inputs, evaluations = tf_keras.Input((3,)), 300
    weights = DenseReparameterization(4, N, initial_scale=3.0, seed=0)(inputs)
    latents = ConditionalUnits(num_draws=10, initial_scale=0.1, seed=1)(weights)
    outputs = MixtureHead(Normal(scale=0.5), 2)(tf_keras.layers.Dense(2, kernel_initializer="ones")(latents))
    model = VariationalModel(inputs, outputs)
    nll = tf.function(lambda: -tf.reduce_mean(model(X.astype(np.float32)).log_prob(Y)))
    shown = np.array([float(nll()) for _ in range(evaluations)])
    error = shown.std() * np.sqrt(2 / evaluations)
    assert abs(audit_elbo(model, X, Y, num_samples=evaluations).nll - shown.mean()) < 4.5 * error
    functions = sample_functions(model, X, num_samples=10 * evaluations).reshape(evaluations, 10, N, 2)
    with_own = -np.logaddexp.reduce(-by_hand.normal_nll(Y, functions, np.array(0.5)), axis=1) + np.log(10)
    assert shown.mean() - with_own.mean() > 10 * error


def test_a_prior_of_another_number_of_examples_is_noticed_in_kernel_and_bias_apart() -> None:
    priors = {"kernel_regularizer": NormalPrior(1.0, 7 * N), "bias_regularizer": NormalPrior(1.0, N)}
    model = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(4, name="dense", **priors)])
    model.add(tfp.layers.IndependentNormal(2))
    expected = f"dense: the penalty of its prior is divided by {7 * N} examples, not {N}"
    assert audit_elbo(model, X, Y, **FEW).warnings == (expected,)


def test_a_bound_of_several_draws_with_other_latents_is_not_audited() -> None:
    inputs = tf_keras.Input((3,))
    latents = NormalUnits(seed=0, name="below")(tf_keras.layers.Dense(4)(inputs))
    outputs = MixtureHead(Normal(scale=0.5), 2)(
        ConditionalUnits(num_draws=3, seed=1)(tf_keras.layers.Dense(4)(latents))
    )
    with pytest.raises(ValueError, match="must have no other latents to be audited"):
        audit_elbo(VariationalModel(inputs, outputs), X, Y, **FEW)


def test_weight_decay_of_a_users_layer_is_not_a_prior_penalty() -> None:
    prior = NormalPrior(2.0, N, scale_by_fan_in=True)
    hidden = tf_keras.layers.Dense(4, kernel_regularizer=tf_keras.regularizers.L2(0.01))
    dense = tf_keras.layers.Dense(4, kernel_regularizer=prior, bias_regularizer=NormalPrior(0.5, N))
    model = tf_keras.Sequential([tf_keras.Input((3,)), hidden, dense, tfp.layers.IndependentNormal(2)])
    by_hand.widen(model)
    audit = audit_elbo(model, X, Y, **FEW)
    kernel, bias = (v.numpy().astype(np.float64) for v in dense.trainable_variables)
    penalty = (4 * (kernel**2).sum() / (2 * 2.0**2) + (bias**2).sum() / (2 * 0.5**2)) / N
    assert audit.prior_penalty == pytest.approx(penalty, rel=1e-5)
    assert audit.other == pytest.approx(0.01 * (hidden.kernel.numpy() ** 2).sum(), rel=1e-5)
    assert (audit.kl, audit.warnings) == (0.0, ())


@pytest.mark.parametrize("kind", ["flipout", "shared", "amortized"])
def test_halfway_through_annealing_and_after_fit_the_temperature_is_the_weight(kind: str) -> None:
    model = by_hand.build(kind, NETWORK, N)
    model.compile("adam", loss=negative_log_likelihood)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[KLAnnealing(4, start=0.0, end=1.0)])
    audit = audit_elbo(model, X, Y, **FEW)
    assert audit.temperature == pytest.approx(0.5, rel=1e-5)
    assert all("weight 0.5, not 1" in line for line in audit.warnings)
    model.fit(X, Y, epochs=6, verbose=0, callbacks=[KLAnnealing(4)])
    audit = audit_elbo(model, X, Y, **FEW)
    assert audit.temperature == pytest.approx(1.0, rel=1e-5)
    assert audit.warnings == ()


@pytest.mark.parametrize(("kind", "layers"), [("flipout", 2), ("shared", 1)])
@pytest.mark.parametrize(("built_for", "named"), [(N // 4, "weight 4, not 1"), (1, "full KL: 40 times too strong")])
def test_a_wrong_number_of_examples_is_noticed(kind: str, layers: int, built_for: int, named: str) -> None:
    audit = audit_elbo(by_hand.build(kind, NETWORK, built_for), X, Y, **FEW)
    assert audit.temperature == pytest.approx(N / built_for, rel=1e-5)
    of_layers, of_priors = audit.warnings[:layers], audit.warnings[layers:]
    assert len(audit.layers) == layers
    assert all(named in line for line in of_layers)
    of_points = ("hidden_1", "parameters") if kind == "shared" else ()
    told = f"the penalty of its prior is divided by {built_for} examples, not {N}"
    assert of_priors == tuple(f"{name}: {told}" for name in of_points)


def test_x_may_be_a_part_of_the_training_set() -> None:
    audit = audit_elbo(by_hand.build("flipout", NETWORK, 10 * N), X, Y, num_examples=10 * N, **FEW)
    assert audit.temperature == pytest.approx(1.0, rel=1e-5)
    assert audit.warnings == ()


@pytest.mark.parametrize("kind", by_hand.KINDS[1:])
def test_the_model_is_as_it_was(kind: str) -> None:
    model = by_hand.build(kind, NETWORK, N)
    before = [v.numpy() for v in model.variables]
    audit_elbo(model, X, Y, **FEW)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.name)


def test_a_vector_of_one_feature_is_a_column_and_the_seed_decides() -> None:
    network = Network(input_shape=(1,), output_size=1, hidden_units=(3,), likelihood=Normal())
    model = by_hand.build("flipout", network, N)
    column = audit_elbo(model, X[:, :1], Y[:, :1], **FEW)
    assert audit_elbo(model, X[:, 0], Y[:, 0], **FEW) == column
    assert audit_elbo(model, X[:, 0], Y[:, 0], **FEW, seed=1).nll != column.nll


def test_the_summary_has_the_terms_the_temperature_and_the_warnings() -> None:
    terms = {"nll": 1.5, "kl": 0.25, "penalty": 1.0, "other": 0.0, "loss": 4.125, "likelihood_weight": 2.0}
    audit = ElboAudit(**terms, prior_penalty=0.125, loss_kind="what it is", layers=(), warnings=("z: double KL",))
    first, *lines = str(audit).splitlines()
    assert first == "nll 1.5, kl 0.25, elbo -1.75 nats per example"
    of_prior = "prior penalty of the point weights 0.125 nats per example"
    assert lines == ["effective temperature 2", of_prior, "what it is", "warning: z: double KL"]
    assert of_prior not in str(dataclasses.replace(audit, prior_penalty=0.0))


def test_what_cannot_be_audited_raises() -> None:
    model = by_hand.build("flipout", NETWORK, N)
    with pytest.raises(TypeError, match="Keras 3"):
        audit_elbo(tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(2)]), X, Y)
    with pytest.raises(TypeError, match=r"must be a tf_keras.Model, got .*str"):
        audit_elbo("model", X, Y)
    plain = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="a tensor, not a distribution"):
        audit_elbo(plain, X, Y)
    with pytest.raises(ValueError, match=r"x must have shape \[N, 3\], got \[40, 2\]"):
        audit_elbo(model, X[:, :2], Y)
    for y in (Y[:, 0], Y[:-1], Y[:, [0, 1, 0]]):
        with pytest.raises(ValueError, match=r"y must have shape \[40, 2\], got"):
            audit_elbo(model, X, y)
    with pytest.raises(ValueError, match="at least the 40 rows"):
        audit_elbo(model, X, Y, num_examples=N - 1)
    with pytest.raises(ValueError, match="num_examples must be a whole number >= 1, got 0"):
        audit_elbo(model, X, Y, num_examples=0)
    with pytest.raises(ValueError, match="x must be finite"):
        audit_elbo(model, np.where(X > 1, np.nan, X), Y)
