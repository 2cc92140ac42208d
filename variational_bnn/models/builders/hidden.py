"""Variation in the hidden units: their values are random for each row, like latents of a variational autoencoder."""

from __future__ import annotations

from typing import Any

from variational_bnn.base import Network, require_network
from variational_bnn.base.checks import require
from variational_bnn.models.builders.assembly import assemble, dense
from variational_bnn.models.latents import NormalUnits
from variational_bnn.models.variational_model import VariationalModel


def build_hidden_variation(
    network: Network,
    num_examples: int,
    *,
    initial_scale: float = 0.1,
    kl_weight: float = 1.0,
    seed: int | None = None,
) -> VariationalModel:
    """Build a network with random hidden units and point weights.

    The value of each hidden unit before its activation is drawn from q(z given x) = N(loc, scale^2), whose parameters
    the layer below gives, with prior N(0, 1) (Kingma & Welling 2014, arXiv 1312.6114). **This is noise of the units,
    not uncertainty about parameters**: it need not shrink with more data, nor grow away from the data.

    Args:
        network: The network to build, with at least one hidden layer. Its prior of weights is not used.
        num_examples: Number of rows N that the model will be trained on. It is checked, so that the builders are
            interchangeable, and not used, since the KL of the latents is one per example already.
        initial_scale: Standard deviation of the units at the start, > 0; that of their prior is 1.
        kl_weight: Weight of the KL in the loss, >= 0: 1 for the evidence lower bound, less for an information
            bottleneck (Alemi et al. 2017, arXiv 1612.00410).
        seed: Seed of the initial values and of the random numbers of training, >= 0; None takes one from the
            entropy of the operating system.

    Returns:
        A model from inputs `[N, *input_shape]` to a distribution of targets `[N, D]`, to be compiled with
        `negative_log_likelihood`.

    Raises:
        TypeError: If `network` is not a `Network`.
        ValueError: If the network has no hidden units, `num_examples` is not a whole number >= 1, `initial_scale` is
            not > 0, `kl_weight` is not >= 0, or `seed` is not a whole number >= 0.

    Example:
        >>> import variational_bnn as vbnn
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> network = vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(8,), likelihood=vbnn.Normal())
        >>> model = vbnn.build_hidden_variation(network, num_examples=len(x), seed=0)
        >>> model.compile("adam", loss=vbnn.negative_log_likelihood)
        >>> history = model.fit(x, np.sin(x), epochs=2, verbose=0)
        >>> predictive = vbnn.predict(model, x, num_samples=10, seed=0)
        >>> predictive.mean.shape, bool((predictive.epistemic_variance > 0).all())
        ((20, 1), True)
    """
    require_network(network)
    require(bool(network.hidden_units), "hidden_units must not be empty for hidden variation, got ()")

    def stochastic(units: int, activation: str | None, seed: int, name: str) -> Any:
        parameters = dense(2 * units, None, seed, f"{name}_parameters")
        draw = NormalUnits(activation, initial_scale=initial_scale, seed=seed, kl_weight=kl_weight, name=name)
        return lambda values: draw(parameters(values))

    return assemble(network, num_examples, seed, "hidden_variation", hidden=stochastic, output=dense)
