"""What bad input must end in: one line, of the API as an exception, of the command line with exit status 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from variational_bnn.cli import commands


def assert_raises(call: Callable[[Path], Any], error: type[Exception], message: str, directory: Path) -> None:
    """The call, which gets an empty directory and leaves it so, raises this error with one line."""
    with pytest.raises(error) as caught:
        call(directory)
    (line,) = str(caught.value).splitlines()
    assert message in line
    assert list(directory.iterdir()) == []


def assert_error(message: str, *arguments: str | Path) -> None:
    """The command ends with status 2 and this as all that it says."""
    done = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line


def files_below(directory: Path) -> dict[str, bytes | None]:
    """All that a directory holds, with the contents of files and None for directories."""
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}
