"""Fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Path:
    """The folder of the test data."""
    root = os.environ.get("VARIATIONAL_BNN_DATA")
    if not root:
        pytest.skip("VARIATIONAL_BNN_DATA is not set")
    return Path(root)
