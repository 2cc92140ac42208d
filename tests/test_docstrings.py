"""The docstrings of the public names are whole, and the examples in all docstrings run."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
from importlib import import_module

import numpy as np
import pytest
import tf_keras

import variational_bnn as vbnn

MODULES = [module.name for module in pkgutil.walk_packages(vbnn.__path__, "variational_bnn.")]
OBJECTS = [name for name in vbnn.__all__ if callable(getattr(vbnn, name))]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = doctest.testmod(import_module(name), extraglobs={"np": np, "vbnn": vbnn, "tf_keras": tf_keras})
    assert result.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", OBJECTS)
def test_a_public_name_says_what_it_takes_and_shows_an_example(name: str) -> None:
    value = getattr(vbnn, name)
    text = inspect.getdoc(value) or ""
    assert ">>>" in text, f"{name} has no example"
    signature = inspect.signature(value.__init__ if isinstance(value, type) else value)
    names = [parameter for parameter in signature.parameters if parameter not in ("self", "args", "kwargs")]
    protocol = isinstance(value, type) and getattr(value, "_is_protocol", False)
    missing = [parameter for parameter in names if not protocol and f"{parameter}:" not in text]
    assert not missing, f"the docstring of {name} does not describe {', '.join(missing)}"
