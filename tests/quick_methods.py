"""Methods of a few lines in NumPy, fitted in no time: what a comparison does with a method does not depend on which."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variational_bnn.base import Dataset, Diagnostics, Network, Predictive
from variational_bnn.base.progress import report

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LinePosterior:
    """Functions (slope + sd e) x `[S, N, D]` with e ~ N(0, 1), and noise of standard deviation `noise`."""

    slope: Array
    sd: float
    noise: float
    diagnostics: Diagnostics | None = None

    def sample_functions(self, x: Array, *, num_samples: int, seed: int) -> Array:
        e = np.random.default_rng(seed).standard_normal((num_samples, 1, 1))
        return (self.slope + self.sd * e) * x[:, :1]

    def predict(self, x: Array, *, num_samples: int, seed: int) -> Predictive:
        functions = self.sample_functions(x, num_samples=num_samples, seed=seed)
        return Predictive.from_functions(functions, self.noise**2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """Least squares through the origin, on the first feature, whose slope's variance is `sd`^2 / N."""

    sd: float = 3.0
    noise: float = 2.0
    reason: str | None = None

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        return self.reason

    def fit(self, dataset: Dataset, network: Network, seed: int) -> LinePosterior:
        x = dataset.x[:, :1]
        slope = (x * dataset.y).sum(axis=0) / (x**2).sum()
        return LinePosterior(slope=slope, sd=self.sd / np.sqrt(len(x)), noise=self.noise)


class Noting:
    """A `Line` that notes the seeds of its fits, and raises what it is told to at some of them."""

    def __init__(self, raises: Mapping[int, BaseException] | None = None) -> None:
        self._seeds: list[int] = []
        self._raises = dict(raises or {})

    @property
    def seeds(self) -> list[int]:
        return self._seeds

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        return None

    def fit(self, dataset: Dataset, network: Network, seed: int) -> Any:
        self._seeds.append(seed)
        if seed in self._raises:
            raise self._raises[seed]
        return Line().fit(dataset, network, seed)


@dataclasses.dataclass(frozen=True)
class Together:
    """A `Line` that is fitted from several seeds together, and writes down in a folder which they were.

    A note is the number of training rows, "alone" or "together", and the seeds.

    Attributes:
        place: The folder.
        fails: The errors of single seeds, by the number of training rows and the seed.
        raises: The error of all of them together.
        lost: How many of the fits it does not return.
        seconds: How long all of them take.
    """

    place: Path
    fails: Mapping[tuple[int, int], Exception] = dataclasses.field(default_factory=dict)
    raises: Exception | None = None
    lost: int = 0
    seconds: float = 0.0

    def supports(self, dataset: Dataset, network: Network) -> str | None:
        return None

    def fit(self, dataset: Dataset, network: Network, seed: int) -> Any:
        self._note(dataset, "alone", [seed])
        if (len(dataset.x), seed) in self.fails:
            raise self.fails[len(dataset.x), seed]
        return Line().fit(dataset, network, seed)

    def fits_together(self, dataset: Dataset, network: Network) -> bool:
        return True

    def fit_together(self, dataset: Dataset, network: Network, seeds: Sequence[int]) -> list[Any]:
        self._note(dataset, "together", seeds)
        if self.raises is not None:
            raise self.raises
        time.sleep(self.seconds)
        report(1, 2)
        line = Line().fit(dataset, network, 0)
        return [self.fails.get((len(dataset.x), seed), line) for seed in seeds[self.lost :]]

    def _note(self, dataset: Dataset, how: str, seeds: Sequence[int]) -> None:
        (self.place / f"{time.monotonic_ns()} {len(dataset.x)} {how} {' '.join(map(str, seeds))}").touch()

    @property
    def notes(self) -> list[str]:
        """In the order in which they were written."""
        return [name.split(" ", 1)[1] for name in sorted(path.name for path in self.place.iterdir())]
