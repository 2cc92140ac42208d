"""The columns of results of autoencoders."""

from __future__ import annotations

import math
from dataclasses import dataclass

from variational_bnn.experiments.result import columns_of


@dataclass(frozen=True, kw_only=True)
class AutoencoderResult:
    """One row of results: an autoencoder on a set of images, from one seed. Its fields are the columns.

    Densities and divergences are in nats per image. A second fit, to the images of all classes but one, shows what the
    model does away from its data. A measure that is not defined is NaN, and all are where the run failed.

    Attributes:
        images: Name of the images.
        model: Name of the model in the comparison.
        seed: Seed of the initial values, the training noise and the draws.
        nll: Mean over the test images of E_q[-log p(x given z)].
        kl_latents: Mean KL of the test images' latents; NaN without random latents.
        kl_weights: KL of the weights over the number of training images; NaN where the weights are points.
        negative_elbo: The sum of the three, which is the negative evidence lower bound; NaN without random latents.
        negative_importance_weighted: The negative mean importance-weighted bound; NaN without random latents.
        importance_samples: Number K of latents drawn for each image for that bound.
        rmse: Root mean squared error of the mean reconstruction, over test images and pixels, which are in [0, 1].
        knn_accuracy: Share of the test images whose class is the most frequent one among the 10 training images of the
            nearest codes.
        silhouette: Mean silhouette of the test images' codes by class, from -1 to 1.
        active_units: Number of latents whose mean varies over the test images.
        code_centre: Largest absolute mean of a latent over the test images.
        code_sd: Root of the codes' mean variance over the test images.
        confused: The two classes that the vote of the nearest codes confuses most often.
        confusion: Share of the test images of these two classes that are taken for the other one.
        held_out: The label that the second fit was not trained on.
        rmse_seen: Error of the second fit's mean reconstruction, over the test images of the classes that it was
            trained on.
        rmse_held_out: Error of the second fit's mean reconstruction, over all images of the class that it was not
            trained on.
        predictive_sd_seen: Root of the second fit's mean variance of a pixel over draws, over the test images of the
            classes that it was trained on.
        predictive_sd_held_out: Root of the second fit's mean variance of a pixel over draws, over all images of the
            class that it was not trained on.
        parameters: Trained numbers.
        fit_seconds: Wall clock of the first fit.
        status: "ok", or what went wrong.
    """

    images: str
    model: str
    seed: int
    nll: float = math.nan
    kl_latents: float = math.nan
    kl_weights: float = math.nan
    negative_elbo: float = math.nan
    negative_importance_weighted: float = math.nan
    importance_samples: int = 0
    rmse: float = math.nan
    knn_accuracy: float = math.nan
    silhouette: float = math.nan
    active_units: int = 0
    code_centre: float = math.nan
    code_sd: float = math.nan
    confused: str = ""
    confusion: float = math.nan
    held_out: int = 0
    rmse_seen: float = math.nan
    rmse_held_out: float = math.nan
    predictive_sd_seen: float = math.nan
    predictive_sd_held_out: float = math.nan
    parameters: int = 0
    fit_seconds: float = math.nan
    status: str = "ok"


AUTOENCODER_COLUMNS = columns_of(AutoencoderResult)
