"""Files: whole or not at all, and refusals in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_bytes(path: Path) -> bytes:
    """What is stored."""
    with in_one_line("read", path):
        return path.read_bytes()


def read_text(path: Path) -> str:
    """The text as it is stored, line ends and all."""
    with in_one_line("read", path), path.open(encoding="utf-8", newline="") as file:
        return file.read()


def write_whole(path: Path, contents: str | bytes) -> None:
    """Put text or bytes in place at once: the file is the old one or the new one, whatever is killed when."""
    beside = path.with_name(f".{path.name}.partial")
    with in_one_line("write", path):
        try:
            with beside.open("wb") as file:
                file.write(contents.encode() if isinstance(contents, str) else contents)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def in_one_line(action: str, path: Path) -> Iterator[None]:
    """Whatever the file system refuses, and text that is none, is said in one line."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"cannot {action} {path}: {reason}") from error
