"""Published files: a copy in the folder that an environment variable names or, without one, a cached download."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from variational_bnn.base.checks import require

_VARIABLE = "VARIATIONAL_BNN_DATA"
_TIMEOUT_SECONDS = 20


def copy_of(file: str) -> Path | None:
    """The path of a file in the folder that `VARIATIONAL_BNN_DATA` names, or None if that variable is not set.

    Args:
        file: Path of the file in that folder.

    Raises:
        ValueError: If the variable is set and its folder has no such file.
    """
    root = os.environ.get(_VARIABLE)
    if not root:
        return None
    path = Path(root) / file
    require(path.is_file(), f"{_VARIABLE} is {root!r}, but there is no file {path}")
    return path


def download(what: str, address: str, *, sha256: str, to: Path, copy: str) -> Path:
    """Download a file, unless it has been downloaded before.

    Args:
        what: Name of the file, for the message.
        address: URL of the file.
        sha256: Checksum of the file.
        to: Where the file is kept.
        copy: Path of a copy in the folder that `VARIATIONAL_BNN_DATA` can name, for the message.

    Returns:
        The path of the file, which is `to`.

    Raises:
        ValueError: If the file cannot be downloaded, or has another checksum.
    """
    try:
        path = pooch.retrieve(
            address,
            known_hash=f"sha256:{sha256}",
            fname=to.name,
            path=to.parent,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS),
        )
    except (OSError, ValueError) as error:
        reason = "its checksum is wrong" if isinstance(error, ValueError) else type(error).__name__
        raise ValueError(
            f"cannot download {what} from {address} ({reason}); {_VARIABLE} can name a folder that has a copy, {copy}"
        ) from error
    return Path(path)
