"""Variation in the output: point weights, and a distribution as the last layer."""

from __future__ import annotations

from variational_bnn.base import Network
from variational_bnn.models.builders.assembly import assemble, point_weights
from variational_bnn.models.variational_model import VariationalModel


def build_output_variation(
    network: Network, num_examples: int, *, point_prior: bool = True, seed: int | None = None
) -> VariationalModel:
    """Build a network with point weights, in which only y is random, given the parameters of the likelihood.

    With a `Normal()` likelihood its last layer is TensorFlow Probability's `IndependentNormal`, whose scale has a floor
    here. The KL is 0 and the epistemic variance is 0 everywhere. Training finds the mode of the posterior of the
    weights under the network's prior (MAP), or with `point_prior=False` the maximum of the likelihood.

    Args:
        network: The network to build, with its prior.
        num_examples: Number of rows N that the model will be trained on. The penalty of the prior is divided by it.
        point_prior: Whether the weights have the network's prior, as a penalty -log p(w) / N in the loss; so has the
            learned noise level of `Normal(scale="learned")`, that of a bias. Without it, training is by plain maximum
            likelihood, as in the lecture.
        seed: Seed of the initial values, >= 0; None takes one from the entropy of the operating system.

    Returns:
        A model from inputs `[N, *input_shape]` to a distribution of targets `[N, D]`, to be compiled with
        `negative_log_likelihood`.

    Raises:
        TypeError: If `network` is not a `Network`.
        ValueError: If `num_examples` is not a whole number >= 1, `point_prior` is not True or False, or `seed` is not a
            whole number >= 0.

    Example:
        >>> import variational_bnn as vbnn
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(8,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_output_variation(network, num_examples=len(x), seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, np.sin(x), epochs=2, verbose=0)
        >>> predictive = vbnn.predict(model, x, num_samples=10, seed=0)
        >>> predictive.mean.shape, bool((predictive.epistemic_variance == 0).all())
        ((20, 1), True)
    """
    layer, prior = point_weights(network, num_examples, point_prior)
    return assemble(network, num_examples, seed, "output_variation", hidden=layer, output=layer, shared_prior=prior)
