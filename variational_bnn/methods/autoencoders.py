"""The autoencoders that can be compared, and how each is trained."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from variational_bnn.base.checks import is_positive, require, require_count, require_known
from variational_bnn.datasets import Images
from variational_bnn.methods.problem import require_finite
from variational_bnn.methods.progress import report_epochs
from variational_bnn.models.backend import tf_keras
from variational_bnn.models.batches import ShuffledBatches
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.autoencoders import POINT, build_autoencoder, build_variational_autoencoder
from variational_bnn.models.builders.weights import ESTIMATORS
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.models.variational_model import VariationalModel

EPOCHS = 15
"""The lecture's."""

LEAST_STEPS = 3000
"""The lecture's epochs are as many more as it takes to make so many steps."""

History = dict[str, list[float]]
"""What Keras's `fit` notes down epoch by epoch: `loss`, `nll` and the KLs."""


@dataclass(frozen=True, kw_only=True)
class Autoencoder:
    """An autoencoder, trained by Adam on images.

    Args:
        variational: Whether its latents are random, with prior N(0, I).
        weights: "point", or how uncertain weights are drawn in training: an estimator of `build_weight_variation`.
        decoder_weights: Kind of weights of the decoder alone, "point" or an estimator; None for that of the encoder.
        epochs: Passes through the images. None for 15, or as many more as it takes to make 3,000 steps.
        batch_size: Images a step.
        learning_rate: Learning rate of Adam, > 0.

    Raises:
        ValueError: If a number is out of its range, or a kind of weights is unknown.

    Example:
        >>> import variational_bnn as vbnn
        >>> vbnn.Autoencoder(variational=True, epochs=20).epochs
        20
    """

    variational: bool = False
    weights: str = POINT
    decoder_weights: str | None = None
    epochs: int | None = None
    batch_size: int = 100
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Check the settings."""
        require(isinstance(self.variational, bool), f"variational must be True or False, got {self.variational!r}")
        for kind in (self.weights, self.weights if self.decoder_weights is None else self.decoder_weights):
            require_known("kind of weights", kind, (POINT, *ESTIMATORS))
        if self.epochs is not None:
            require_count("epochs", self.epochs)
        require_count("batch_size", self.batch_size)
        require(is_positive(self.learning_rate), f"learning_rate must be > 0, got {self.learning_rate!r}")

    def for_images(self, num_images: int) -> Autoencoder:
        """The same with a number of epochs that suits so many training images, unless it has one."""
        if self.epochs is not None:
            return self
        return dataclasses.replace(self, epochs=max(EPOCHS, round(LEAST_STEPS * self.batch_size / num_images)))

    def fit(self, images: Images, network: AutoencoderNetwork, seed: int) -> tuple[VariationalModel, History]:
        """The model trained on the images, and how its loss went.

        Args:
            images: Whose training images are fitted.
            network: Sizes and likelihood.
            seed: Of the initial values, the noise and the batches.

        Raises:
            FitError: If the loss is not finite at the end.
        """
        build = build_variational_autoencoder if self.variational else build_autoencoder
        x, epochs = images.x_train, self.for_images(len(images.x_train)).epochs
        model = build(network, len(x), weights=self.weights, decoder_weights=self.decoder_weights, seed=seed)
        model.compile(tf_keras.optimizers.Adam(self.learning_rate), loss=negative_log_likelihood)
        batches = ShuffledBatches((x, x), self.batch_size, seed)
        callback = report_epochs(epochs or 1)
        steps = {"epochs": epochs, "steps_per_epoch": math.ceil(len(x) / self.batch_size)}
        history = model.fit(batches, **steps, callbacks=[callback], verbose=0).history
        require_finite(history["loss"][-1])
        return model, history


AUTOENCODERS: dict[str, Autoencoder] = {
    "ae": Autoencoder(),
    "vae": Autoencoder(variational=True),
    "flipout-ae": Autoencoder(weights="flipout", decoder_weights=POINT),
    "flipout-vae": Autoencoder(variational=True, weights="flipout"),
}
"""The lecture's autoencoders: plain, variational, with an uncertain encoder, and variational with uncertain weights."""
