"""Small images of three patterns, and a small autoencoder of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from variational_bnn.datasets import Images
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork

PATTERNS = np.kron(np.eye(3), np.ones((1, 6))).reshape(3, 6, 3)
NETWORK = AutoencoderNetwork(image_shape=(6, 3), encoder_units=(8,), decoder_units=(8,))


def patterns(train: int = 40, test: int = 12, labels: tuple[int, ...] = (2, 5, 7), seed: int = 0) -> Images:
    """A pattern for each class, with a tenth of the pixels inverted."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> tuple[Any, Any]:
        kinds = np.arange(count) % len(labels)
        return np.abs(PATTERNS[kinds] - (rng.random((count, 6, 3)) < 0.1)), np.array(labels)[kinds]

    (x_train, y_train), (x_test, y_test) = some(train), some(test)
    return Images(name="patterns", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
