"""The peak of memory is what is held at once, beyond what was held before."""

from __future__ import annotations

import time

import numpy as np
import pytest

from variational_bnn.experiments.memory import peak_memory


def test_the_peak_is_what_was_held_at_once() -> None:
    with peak_memory() as peak:
        held = np.ones(2**25)  # 256 MiB, looked at before they are freed.
        before = peak()
        del held
        time.sleep(0.05)
        assert before == pytest.approx(256, abs=100)
        assert peak() >= before
    with peak_memory() as peak:
        assert peak() < 100
