"""Fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread each: the tests run in as many processes as there are cores to spare, on models too small to share out.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


@pytest.fixture
def data_dir() -> Path:
    """The folder of the test data."""
    root = os.environ.get("VARIATIONAL_BNN_DATA")
    if not root:
        pytest.skip("VARIATIONAL_BNN_DATA is not set")
    return Path(root)
