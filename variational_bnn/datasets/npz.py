"""Images from an .npz archive of NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from variational_bnn.base.checks import require
from variational_bnn.datasets.images import Images

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: str | Path, name: str | None = None) -> Images:
    """Read images from an .npz archive of NumPy with the arrays x_train, y_train, x_test and y_test.

    The arrays may have any shape and type that `Images` accepts; other arrays in the archive are ignored. Nothing in
    the file is executed: arrays of Python objects, which would have to be unpickled, raise a `ValueError`.

    Args:
        path: The file.
        name: Name of the images; by default that of the file without its suffix.

    Returns:
        The images.

    Raises:
        ValueError: If the file cannot be read, is damaged or is not an .npz archive, lacks one of the arrays, has one
            of Python objects, or if `Images` raises one for the arrays. The message begins with the path.

    Example:
        >>> import pathlib, tempfile
        >>> import variational_bnn as vbnn
        >>> noise, labels = np.random.default_rng(0).random((6, 4, 4)), [0, 1, 2, 0, 1, 2]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "noise.npz"
        ...     np.savez(path, x_train=noise, y_train=labels, x_test=noise[:2], y_test=labels[:2])
        ...     images = vbnn.read_npz(path)
        >>> images.name, images.x_train.shape, images.labels
        ('noise', (6, 4, 4), (0, 1, 2))
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            arrays = _arrays(path, file)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    try:
        return Images(name=name or path.stem, **arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _arrays(path: Path, file: Any) -> dict[str, Any]:
    # NumPy and zipfile raise errors of many types for a damaged file.
    try:
        archive = np.load(file, allow_pickle=False)
    except Exception as error:
        raise ValueError(f"{path} is not an .npz archive, or is damaged") from error
    require(isinstance(archive, np.lib.npyio.NpzFile), f"{path} must be an .npz archive, but is a single array")
    arrays = {}
    with archive:
        missing = ", ".join(key for key in _KEYS if key not in archive.files)
        held = ", ".join(archive.files) or "no array"
        require(not missing, f"{path} must hold {', '.join(_KEYS)}; it lacks {missing} and holds {held}")
        for key in _KEYS:
            try:
                arrays[key] = np.asarray(archive[key])
            except Exception as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                raise ValueError(f"cannot read {key} of {path}: {reason}") from error
            arrays[key].flags.writeable = False  # `Images` copies arrays that somebody else could write to.
    return arrays
