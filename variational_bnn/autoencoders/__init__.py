"""Autoencoders: plain, variational, and with uncertain weights; what they are measured by, side by side."""

from variational_bnn.autoencoders.bounds import Bounds, decode, encode, measure_bounds
from variational_bnn.autoencoders.builders import build_autoencoder, build_variational_autoencoder
from variational_bnn.autoencoders.comparison import KIND, AutoencoderComparison, compare_autoencoders
from variational_bnn.autoencoders.experiment import MODELS, AutoencoderTraining
from variational_bnn.autoencoders.network import AutoencoderNetwork

__all__ = [
    "KIND",
    "MODELS",
    "AutoencoderComparison",
    "AutoencoderNetwork",
    "AutoencoderTraining",
    "Bounds",
    "build_autoencoder",
    "build_variational_autoencoder",
    "compare_autoencoders",
    "decode",
    "encode",
    "measure_bounds",
]
