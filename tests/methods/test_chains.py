"""What Markov chains say of themselves: R-hat, effective sample sizes, and whether they converged."""

from __future__ import annotations

import dataclasses
import math
import threading
import weakref
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest

import variational_bnn as vbnn
from variational_bnn.methods.chains import diagnose, function_values
from variational_bnn.methods.problem import Problem
from variational_bnn.methods.samplers import Sampler, Steps, run
from variational_bnn.models.weight_space import WeightSpace

RNG = np.random.default_rng(1)
LINE = vbnn.Network(input_shape=(3,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=1.0))
SPACE = WeightSpace.of(LINE)
X = RNG.normal(size=(5, 3)).astype(np.float32)
DRAWS = RNG.standard_normal((500, 4, SPACE.size), dtype=np.float32)


@pytest.mark.parametrize(
    ("r_hat", "ess", "ess_tail", "converged"),
    [
        (1.009, 401, 401, True),
        (1.01, 400, 400, True),
        (1.02, 1000, 1000, False),
        (1.0, 399, 1000, False),
        (1.0, 1000, 399, False),
        (math.nan, 1000, 1000, False),
        (1.0, math.nan, 1000, False),
        (1.0, 1000, math.nan, False),
    ],
)
def test_chains_converged_if_r_hat_is_small_and_both_sample_sizes_are_large(
    r_hat: float, ess: float, ess_tail: float, converged: bool
) -> None:
    """At most 1.01, and at least 400 (Vehtari et al. 2021)."""
    assert vbnn.Diagnostics(r_hat=r_hat, ess=ess, ess_tail=ess_tail).converged == converged


def test_independent_draws_have_an_r_hat_of_one_and_all_count() -> None:
    found = diagnose(SPACE, DRAWS, X)
    assert found["r_hat"] < 1.01
    assert 1500 < found["ess"] < 2600
    assert 1200 < found["ess_tail"] < 2600


def test_a_chain_that_is_apart_is_found() -> None:
    """One of four is off by three standard deviations of each weight."""
    apart = DRAWS.copy()
    apart[:, 0] += 3
    assert diagnose(SPACE, apart, X)["r_hat"] > 1.2


def test_draws_that_come_in_runs_count_less() -> None:
    """Each draw is there ten times."""
    assert 100 < diagnose(SPACE, np.repeat(DRAWS[::10], 10, axis=0), X)["ess"] < 300


def test_few_draws_and_one_chain_have_no_r_hat() -> None:
    """Fewer than four draws cannot be split."""
    for count in (1, 3):
        assert np.isnan(list(diagnose(SPACE, DRAWS[:count], X).values())).all()
    found = diagnose(SPACE, DRAWS[:, :1], X)
    assert math.isnan(found["r_hat"])
    assert 300 < found["ess"] < 700


def test_the_worst_query_point_counts_in_whatever_chunks_they_come() -> None:
    """The chains agree at x = 0, where they have the bias alone, and one is apart at x = 1."""
    draws = DRAWS.copy()
    draws[:, 0, :3] += 5
    points = np.zeros((9, 3), np.float32)
    points[4] = 1
    together = diagnose(SPACE, draws, points)
    one_by_one = diagnose(SPACE, draws, points, hidden_values=1)
    assert together == one_by_one
    assert one_by_one["r_hat"] > 1.1
    assert one_by_one["ess"] < 100
    agreeing = diagnose(SPACE, draws, np.delete(points, 4, axis=0), hidden_values=1)
    assert agreeing["r_hat"] < 1.01
    assert agreeing["ess"] > 1500


def test_a_value_that_is_not_finite_is_not_passed_over() -> None:
    """Weights so large that the function overflows at one query point: chains with it have not converged."""
    draws = DRAWS.copy()
    draws[:, :, :3] *= 1e30
    points = np.zeros((2, 3), np.float32)
    points[1] = 1e10
    with np.errstate(invalid="ignore"):
        found = diagnose(SPACE, draws, points, hidden_values=1)
    assert not vbnn.Diagnostics(**found).converged


def test_the_functions_of_weights_are_the_networks() -> None:
    """x w / sqrt(3) + b of the linear network, in units of the prior."""
    found = function_values(SPACE, DRAWS[:3], X)
    assert found.shape == (3, 4, 5, 1)
    by_hand = (DRAWS[:3, :, :3] / np.sqrt(3)) @ X.T + DRAWS[:3, :, 3:]
    np.testing.assert_allclose(found[..., 0], by_hand, rtol=1e-4, atol=1e-5)


def test_chains_whose_probabilities_round_to_the_same_agree() -> None:
    """At x = 0 the logits are far apart in every draw; at x = 1 they are not."""
    space = WeightSpace.of(
        vbnn.Network(input_shape=(1,), output_size=1, hidden_units=(), likelihood=vbnn.Categorical(num_classes=2))
    )
    draws = np.random.default_rng(0).normal(size=(100, 4, space.size))  # Weights [2] and then biases [2].
    draws[..., 2:] += [400, -400]
    draws[..., :2] -= [400, -400]
    draws = draws.astype(np.float32)
    sure, unsure = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    equal = {"r_hat": 1.0, "ess": 400.0, "ess_tail": 400.0}
    assert diagnose(space, draws, sure) == equal
    alone = diagnose(space, draws, unsure)
    worse = {name: (max if name == "r_hat" else min)(alone[name], equal[name]) for name in equal}
    assert diagnose(space, draws, np.concatenate([sure, unsure])) == worse
    assert diagnose(space, draws[:, :1], sure)["ess"] == 100
    draws[:, 3] = -draws[:, 3]  # One chain is as sure of the other class.
    assert not diagnose(space, draws, sure)["r_hat"] < 1.1


TRACED = list[str]()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Traced(vbnn.Normal):
    """It notes each time that a function of it is traced."""

    def distribution(self, *args: Any) -> Any:
        TRACED.append("distribution")
        return super().distribution(*args)


def test_the_functions_are_traced_once_in_whatever_chunks_the_query_points_come() -> None:
    space = WeightSpace.of(dataclasses.replace(LINE, likelihood=_Traced(scale=1.0)))
    TRACED.clear()
    assert diagnose(space, DRAWS[:100], X, hidden_values=200) == diagnose(SPACE, DRAWS[:100], X)  # 2, 2 and 1 points.
    assert len(TRACED) == 1


SMALL = vbnn.Dataset(name="small", x=RNG.normal(size=(12, 3)), y=RNG.normal(size=(12, 1)))


SMALL_NETWORK = dataclasses.replace(LINE, hidden_units=(4,))
SAMPLERS = {
    "hmc": vbnn.HMC(chains=3, warmup=300, draws=130),
    "metropolis": vbnn.Metropolis(chains=3, warmup=200, draws=130, thinning=3),
    "sgld": vbnn.SGLD(chains=3, warmup=100, draws=130, thinning=3, steps=20, batch_size=5),
}


@cache
def _windows(name: str, threads: int) -> list[Any]:
    problem = Problem.of(SMALL, SMALL_NETWORK, standardise=True)
    return list(SAMPLERS[name].windows(problem, 0, threads=threads))


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_draws_are_the_same_whatever_the_number_of_threads(name: str) -> None:
    """To the last bit, and those of two chains or of two calls are not the same."""
    one, three = _windows(name, 1), _windows(name, 3)
    assert [len(window.z) for window in one] == [100] * (len(one) - 1) + [130]
    assert one[-1].z.shape == (130, 3, 21)
    for here, there in zip(one, three, strict=True):
        for field in here._fields:
            np.testing.assert_array_equal(getattr(here, field), getattr(there, field))
    z = np.concatenate([window.z for window in one])
    moves = np.diff(z, axis=0).reshape(-1, 21)
    moves = moves[np.abs(moves).max(-1) > 0]
    assert len(np.unique(moves.round(6), axis=0)) == len(moves)


@pytest.mark.parametrize("name", ["hmc", "metropolis"])
def test_all_chains_adapt_together_and_in_the_warm_up_alone(name: str) -> None:
    """One step size at the start of each window, and the same one in all of the draws."""
    windows = _windows(name, 1)
    for window in windows:
        assert len(np.unique(window.step_sizes[0])) == 1
    assert len(np.unique(windows[-1].step_sizes)) == 1
    assert len({window.step_sizes[0, 0] for window in windows}) == len(windows)
    if name == "hmc":
        for window in windows[:-1]:
            assert len(np.unique(window.step_sizes[-1])) == 3  # Within a window each chain adapts apart.


def test_after_the_warm_up_all_chains_have_the_same_masses() -> None:
    """Those of the standard deviations of all chains in the latter half of the windows."""
    problem = Problem.of(SMALL, SMALL_NETWORK, standardise=True)
    sampler = SAMPLERS["hmc"].sampler(problem, 0)
    rng = np.random.default_rng(0)
    sds = np.geomspace(0.1, 2, 21)
    windows = [Steps((sds * rng.normal(size=(100, 3, 21))).astype(np.float32), *3 * [np.zeros((100, 3))]) for _ in "ab"]
    windows.insert(0, windows[0]._replace(z=np.full((100, 3, 21), 1e3)))  # On its way from the prior.
    started = sampler.start()
    adapted = sampler.adapt(started, windows[:2], last=False)
    for state in adapted:
        np.testing.assert_allclose(state[1], sds, rtol=0.2)
    for state in sampler.adapt(adapted, windows, last=True):
        np.testing.assert_array_equal(state[1], adapted[0][1])  # The last window is for the step size.


class _Failing(Sampler):
    """The second chain raises in its third call."""

    steps = 25

    def start(self) -> list[Any]:
        return [(np.zeros(1), chain, 0) for chain in range(3)]

    def advance(self, state: Any, rng: np.random.Generator) -> tuple[Any, Steps]:
        z, chain, calls = state
        if (chain, calls) == (1, 2):
            raise vbnn.FitError("diverged: as expected")
        values = np.zeros(25, np.float32)
        return (z, chain, calls + 1), Steps(np.zeros((25, 1), np.float32), values, values, values)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_on_a_thread_is_the_callers(threads: int) -> None:
    with pytest.raises(vbnn.FitError, match=r"^diverged: as expected$"):
        list(run(_Failing(), warmup=100, draws=100, seed=0, threads=threads))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("chains")]


class _Waiting(Sampler):
    """Each call waits until another one is made at the same time."""

    steps = 25

    def __init__(self) -> None:
        self._both = threading.Barrier(2, timeout=10)

    def start(self) -> list[Any]:
        return [(np.zeros(1),)] * 2

    def advance(self, state: Any, rng: np.random.Generator) -> tuple[Any, Steps]:
        self._both.wait()
        values = np.zeros(25, np.float32)
        return state, Steps(np.zeros((25, 1), np.float32), values, values, values)


def test_two_threads_advance_two_chains_at_the_same_time() -> None:
    windows = run(_Waiting(), warmup=100, draws=50, seed=0, threads=2)
    assert [window.z.shape for window in windows] == [(100, 2, 1), (50, 2, 1)]


class _Remembering(_Failing):
    """It notes of how many steps it is given the weights, window by window."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []

    def start(self) -> list[Any]:
        return [(np.zeros(1), 0, 0)]

    def adapt(self, states: list[Any], windows: Any, *, last: bool) -> list[Any]:
        self.given.append([len(window.z) for window in windows])
        assert all(len(window.acceptance) == 100 for window in windows)
        return states


def test_a_sampler_adapts_by_the_weights_of_the_latter_half_of_the_warm_up() -> None:
    sampler = _Remembering()
    list(run(sampler, warmup=500, draws=100, seed=0))
    assert sampler.given == [[100], [0, 100], [0, 100, 100], [0, 0, 100, 100], [0, 0, 100, 100, 100]]


class _Watched(vbnn.Metropolis):
    """It notes how many windows have their weights in memory when the draws come."""

    kept: ClassVar[list[bool]] = []

    def windows(self, *args: Any, **settings: Any) -> Any:
        weights = list[Any]()
        for window in super().windows(*args, **settings):
            weights.append(weakref.ref(window.z))
            self.kept[:] = [z() is not None for z in weights]
            yield window


def test_the_weights_of_the_warm_up_are_not_kept() -> None:
    """They would take as much memory as the draws; only those of its last window are there when these come."""
    _Watched(chains=2, warmup=500, draws=4, thinning=1).fit(SMALL, SMALL_NETWORK, 0)
    assert _Watched.kept == [False, False, False, False, True, True]


def test_the_random_walk_adapts_to_the_acceptance_that_is_best() -> None:
    """0.234 in many dimensions (Roberts, Gelman & Gilks 1997), from a first scale at which few steps are accepted."""
    x = np.random.default_rng(0).normal(size=(50, 3))
    many = vbnn.Dataset(
        name="many", x=x, y=x @ [[1.0], [2.0], [-1.0]] + 0.1 * np.random.default_rng(1).normal(size=(50, 1))
    )
    network = vbnn.Network(input_shape=(3,), output_size=1, hidden_units=(), likelihood=vbnn.Normal(scale=0.1))
    windows = list(
        vbnn.Metropolis(warmup=1000, draws=200, thinning=1).windows(Problem.of(many, network, standardise=True), 0)
    )
    assert windows[0].acceptance.mean() < 0.1
    assert 0.15 < windows[-1].acceptance.mean() < 0.35
