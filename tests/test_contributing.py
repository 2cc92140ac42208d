"""The examples of CONTRIBUTING.md and of the README, followed to the letter in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import variational_bnn

ROOT = Path(__file__).parent.parent
SECTIONS = dict(re.findall(r"^## (Add .*?)\n(.*?)(?=^## |\Z)", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S))
SHOWN = {
    "Add a method": "mode",
    "Add a builder": "[[",
    "Add a measure": ",largest_error,",
    "Add a dataset": "step, 40 training rows",
    "Add a figure": "results/cost.png",
}
"""What the last command of each section prints."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the package, which Python finds before the installed one."""
    source = Path(variational_bnn.__path__[0])
    shutil.copytree(source, tmp_path / "variational_bnn", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _run(command: list[str], place: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(place), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _insert(path: Path, lines: list[str]) -> None:
    """Put the lines that begin with a plus behind the line of the file that is given first."""
    context, added = lines[0][1:], [line[1:] for line in lines[1:]]
    assert all(line.startswith("+") for line in lines[1:])
    contents = path.read_text().split("\n")
    assert contents.count(context) == 1, f"{path.name} must have one line {context!r}"
    where = contents.index(context) + 1
    path.write_text("\n".join([*contents[:where], *added, *contents[where:]]))


def test_every_section_is_followed() -> None:
    assert SECTIONS.keys() == SHOWN.keys()


@pytest.mark.parametrize("section", SHOWN)
def test_contributing(section: str, place: Path) -> None:
    path = None
    for name, kind, block in re.findall(
        r"`(variational_bnn/\S+?)`|^```(\w+)\n(.*?)^```$", SECTIONS[section], re.M | re.S
    ):
        if name:
            path = place / name
        elif kind == "python":
            assert path is not None
            assert not path.exists()
            path.write_text(block)
        elif kind == "diff":
            assert path is not None
            _insert(path, block.splitlines())
        else:
            assert SHOWN[section] in _run(["bash", "-euc", block], place)


def test_the_method_of_the_readme(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    (code,) = (
        block for block in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) if "GaussianProcess" in block
    )
    shorter = code.replace('"flipout": "flipout"', '"flipout": vbnn.Flipout(steps=20)').replace("range(3)", "range(2)")
    (tmp_path / "script.py").write_text(shorter)
    printed = _run(["python", "script.py"], tmp_path)
    assert "process" in printed
    assert (tmp_path / "results" / "bands.png").exists()
    assert {folder.name.rsplit("-", 1)[0] for folder in (tmp_path / "results" / "runs").iterdir()} == {
        f"{name}-{seed}" for name in ("flipout", "process") for seed in range(2)
    }
