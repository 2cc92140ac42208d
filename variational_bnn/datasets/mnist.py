"""MNIST (LeCun et al. 1998), in the file that Keras downloads."""

from __future__ import annotations

import os
from pathlib import Path

from variational_bnn.datasets.downloads import copy_of, download
from variational_bnn.datasets.images import Images
from variational_bnn.datasets.npz import read_npz

_ADDRESS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def mnist() -> Images:
    """MNIST, handwritten digits of 28 x 28 pixels: 60000 training and 10000 test images.

    If the environment variable `VARIATIONAL_BNN_DATA` is set, the file is `mnist.npz` in the folder that it names.
    Otherwise it is the file that Keras keeps in its own cache, `$KERAS_HOME/datasets/mnist.npz` (by default in
    `~/.keras`), and is downloaded to there if it is missing. Keras and this function use each other's download.

    Returns:
        The images, with labels 0 to 9.

    Raises:
        ValueError: If the file is missing and cannot be downloaded, if a download does not have the published checksum
            (the checksum of a copy in `VARIATIONAL_BNN_DATA` is not checked), or if `read_npz` raises one.

    Example:
        >>> import variational_bnn as vbnn
        >>> vbnn.mnist().x_train.shape  # doctest: +SKIP
        (60000, 28, 28)
    """
    path = copy_of("mnist.npz")
    if path is None:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        to = home / "datasets" / "mnist.npz"
        path = download("images 'mnist'", _ADDRESS, sha256=_SHA256, to=to, copy="mnist.npz")
    return read_npz(path, name="mnist")
