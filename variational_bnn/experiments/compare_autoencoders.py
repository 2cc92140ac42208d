"""`compare_autoencoders`: autoencoders on one set of images, each run from several seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from variational_bnn.base.checks import require, require_count, require_known
from variational_bnn.datasets import Images
from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison, store_in
from variational_bnn.experiments.autoencoders import AutoencoderRun, shown
from variational_bnn.experiments.compare import seeds_of
from variational_bnn.experiments.engine import execute, require_workers
from variational_bnn.experiments.run import settings_of
from variational_bnn.methods.autoencoders import AUTOENCODERS, Autoencoder
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork

LATENTS = 2
"""Of the default network, as in the lecture: they can be drawn."""


def compare_autoencoders(
    images: Images,
    *,
    models: Iterable[str] | Mapping[str, str | Autoencoder] = tuple(AUTOENCODERS),
    seeds: Sequence[int] = (0,),
    network: AutoencoderNetwork | None = None,
    held_out: int | None = None,
    num_samples: int = 100,
    workers: int | None = 1,
    directory: str | Path | None = None,
    retry: bool = False,
    progress: bool = True,
) -> AutoencoderComparison:
    """Fit autoencoders to the same images, and measure bounds, latent codes, and where reconstructions are uncertain.

    Each model is fitted twice from each seed: to all images, and to those of all classes but one, to see how it
    reconstructs what it has not seen.

    Args:
        images: What to learn from; `images.binarised()` for a likelihood of zeros and ones.
        models: Names ("ae", "vae", "flipout-ae", "flipout-vae"), or a mapping from names to these or to `Autoencoder`.
        seeds: Each model is run once from each.
        network: The same for every model; if None the lecture's, with two latents and a Bernoulli likelihood.
        held_out: The label that the second fit does not see; if None the largest that there is to train on.
        num_samples: Draws of reconstructions and codes.
        workers: Processes; 1 for this one alone. None for as many as there are cores, if there is work for them.
        directory: Where to keep finished runs while the others go on. Runs that are there already, of the same
            settings and images, are not executed again.
        retry: Whether runs that failed, and are kept in the directory, are executed again. Those that lacked memory or
            whose worker died are in any case.
        progress: Whether to show how far the runs are, on standard error.

    Returns:
        The comparison. A run that failed has a row whose status says why.

    Raises:
        TypeError: If `images` are not `Images`, `network` not an `AutoencoderNetwork`, or a model not an `Autoencoder`.
        ValueError: If a model or a label is unknown, a number is out of range, the network does not fit the images, or
            the directory cannot be written or holds other settings.

    Example:
        >>> import variational_bnn as vbnn
        >>> images = vbnn.digits().binarised()
        >>> models = {"ae": vbnn.Autoencoder(epochs=1)}
        >>> comparison = vbnn.compare_autoencoders(images, models=models, num_samples=2, progress=False)
        >>> bool(comparison.results["nll"].item() > 0)
        True
    """
    if not isinstance(images, Images):
        raise TypeError(f"images must be Images, got {type(images).__name__}")
    network = AutoencoderNetwork(image_shape=images.image_shape, latent_size=LATENTS) if network is None else network
    held_out = images.y_train.max() if held_out is None else held_out
    label = int(held_out) if isinstance(held_out, np.integer) else held_out
    _check(images, network, label, num_samples)
    require_workers(workers)
    chosen = {name: model.for_images(len(images.x_train)) for name, model in _named(models).items()}
    seeds = seeds_of(seeds)
    runs = [
        AutoencoderRun(
            name=name,
            method=model,
            seed=seed,
            images=images,
            network=network,
            held_out=label,
            num_samples=num_samples,
        )
        for name, model in chosen.items()
        for seed in seeds
    ]
    settings, examples, store = _settings(images, network, chosen, label, num_samples), shown(images, label), None
    if directory is not None:
        store = store_in(directory)
        store.prepare(settings, tables={}, arrays={"images": examples})
        store.warn_of_other_versions()
    outcomes = execute([run.group for run in runs], workers=workers, store=store, retry=retry, progress=progress)
    return AutoencoderComparison(settings=settings, images=examples, outcomes=outcomes)


def _named(models: Iterable[str] | Mapping[str, str | Autoencoder]) -> dict[str, Autoencoder]:
    """The autoencoders by name."""
    listed = isinstance(models, Iterable) and not isinstance(models, str)
    require(listed, f"models must be a sequence or a mapping, got {models!r}")
    given = models if isinstance(models, Mapping) else {name: name for name in models}
    for name in given:
        require(isinstance(name, str) and bool(name.strip()), f"a model without a name must be a name, got {name!r}")
    require(bool(given), "models must hold at least one model, got none")
    for value in given.values():
        if isinstance(value, str):
            require_known("model", value, tuple(AUTOENCODERS))
        elif not isinstance(value, Autoencoder):
            raise TypeError(f"a model must be a name or an Autoencoder, got {value!r}")
    return {name: AUTOENCODERS[value] if isinstance(value, str) else value for name, value in given.items()}


def _check(images: Images, network: AutoencoderNetwork, held_out: int, num_samples: int) -> None:
    """Raise a `TypeError` or a `ValueError` for what would only fail later, in every run."""
    if not isinstance(network, AutoencoderNetwork):
        raise TypeError(f"network must be an AutoencoderNetwork, got {type(network).__name__}")
    shape, needed = network.image_shape, images.image_shape
    require(shape == needed, f"network must have image_shape {needed} for the images, got {shape}")
    require_count("num_samples", num_samples)
    require(num_samples > 1, "num_samples must be at least 2 for a variance, got 1")
    images.without(held_out)
    known = ", ".join(map(str, np.unique(images.y_train)))
    require(held_out in images.y_train, f"no training image has label {held_out}; known: {known}")
    network.likelihood.require_targets(images.x_train)


def _settings(
    images: Images, network: AutoencoderNetwork, models: Mapping[str, Autoencoder], held_out: int, num_samples: int
) -> dict[str, Any]:
    tables = (images.x_train, images.y_train, images.x_test, images.y_test)
    digests = [hashlib.sha256(table.tobytes()).digest() for table in tables]
    return {
        "images": {
            "name": images.name,
            "shape": list(images.image_shape),
            "train": len(images.x_train),
            "test": len(images.x_test),
            "digest": hashlib.sha256(b"".join(digests)).hexdigest(),
        },
        "network": network.to_dict(),
        "held_out": held_out,
        "num_samples": num_samples,
        "methods": {name: settings_of(model) for name, model in models.items()},
    }
