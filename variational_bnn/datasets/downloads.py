"""Published files: the copy that an environment variable names or, without one, a download that is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from variational_bnn.base.checks import require

_VARIABLE = "VARIATIONAL_BNN_DATA"
_TIMEOUT_SECONDS = 20


def copy_of(file: str) -> Path | None:
    """The file in the folder that `VARIATIONAL_BNN_DATA` names, or None if that variable is not set.

    Raises:
        ValueError: If the variable is set, but there is no such file in its folder.
    """
    root = os.environ.get(_VARIABLE)
    if not root:
        return None
    path = Path(root) / file
    require(path.is_file(), f"{_VARIABLE} is {root!r}, but there is no file {path}")
    return path


def download(what: str, address: str, *, sha256: str, to: Path, copy: str) -> Path:
    """Download a file, unless it is there already.

    Args:
        what: What the message calls it.
        address: Of the file.
        sha256: Of the file.
        to: Where it is kept.
        copy: Where a copy would be, in the folder that `VARIATIONAL_BNN_DATA` names, for the message.

    Raises:
        ValueError: If the file cannot be had, or its checksum is another.
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
