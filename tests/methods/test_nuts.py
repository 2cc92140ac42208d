"""A transition of NUTS, of given random numbers, against the same trajectory in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from variational_bnn.methods.nuts import MAX_TREE_DEPTH, Transition, point_at, transition

RNG = np.random.default_rng(0)
SDS = np.geomspace(0.2, 3, 6).astype(np.float32)
SCALE = np.array([1, 2, 0.5, 1, 1, 1.5], np.float32)
CASES = [
    (RNG.normal(size=6) * SDS, RNG.normal(size=6), RNG.random((MAX_TREE_DEPTH, 3)), e) for e in (0.1, 0.03, 0.01) * 5
]


def _log_density(z: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_sum((z / SDS) ** 2) / 2


def _transition(z: tf.Tensor, momentum: tf.Tensor, uniforms: tf.Tensor, step_size: tf.Tensor) -> Transition:
    start = point_at(_log_density, z)
    return transition(_log_density, start, step_size=step_size, scale=SCALE, momentum=momentum, uniforms=uniforms)


_compiled = tf.function(_transition, jit_compile=True)


def _tensors(z: np.ndarray, momentum: np.ndarray, uniforms: np.ndarray, step_size: float) -> list[tf.Tensor]:
    single = (tf.constant(value, tf.float32) for value in (z, momentum))
    return [*single, tf.constant(uniforms, tf.float64), tf.constant(step_size, tf.float32)]


def _turns(momenta: list[np.ndarray]) -> bool:
    return min(momenta[0] @ np.sum(momenta, axis=0), momenta[-1] @ np.sum(momenta, axis=0)) <= 0


def _by_hand(
    z: np.ndarray, momentum: np.ndarray, uniforms: np.ndarray, step_size: float
) -> tuple[list[tuple[np.ndarray, ...]], int]:
    """The points of the trajectory, of which the next state is one, with momenta, and how many leapfrogs were made.

    Points are added until two ends of the trajectory, or of a subtree of the half that is added, come closer.
    """
    points = [(z, momentum)]
    leapfrogs = 0
    for depth in range(MAX_TREE_DEPTH):
        step = step_size * SCALE if uniforms[depth, 0] < 0.5 else -step_size * SCALE
        (z, momentum), added = points[-1 if step[0] > 0 else 0], []
        for number in range(1, 2**depth + 1):
            momentum = momentum - step / 2 * z / SDS**2
            z = z + step * momentum
            momentum = momentum - step / 2 * z / SDS**2
            added.append((z, momentum))
            leapfrogs += 1
            sizes = [2**level for level in range(1, depth + 1) if number % 2**level == 0]
            if any(_turns([point[1] for point in added[-size:]]) for size in sizes):
                return points, leapfrogs
        points = points + added if step[0] > 0 else added[::-1] + points
        if _turns([point[1] for point in points]):
            break
    return points, leapfrogs


@pytest.mark.parametrize("compiled", [True, False])
def test_a_trajectory_ends_where_it_turns(compiled: bool) -> None:
    """As many leapfrogs as by hand, and a point of the same trajectory; compiled or not."""
    counts = []
    for case in CASES if compiled else CASES[:2]:
        made = (_compiled if compiled else _transition)(*_tensors(*case))
        points, leapfrogs = _by_hand(*case)
        assert int(made.leapfrogs) == leapfrogs
        assert np.abs(np.array([point[0] for point in points]) - made.point.z).max(-1).min() < 1e-3
        assert 0 < float(made.acceptance) <= 1
        counts.append(leapfrogs)
    assert max(counts) > 60 or not compiled


def test_the_point_is_drawn_by_its_weight() -> None:
    """One number draws a point of the added half: over a grid of it, each comes as often as its density says."""
    z, momentum, step_size = SDS * [1.5, -0.2, 0.3, 1.4, -0.1, 0.2], np.array([1.0, 0.3, 0.5, -0.5, 0.5, 0.5]), 0.25
    uniforms = np.zeros((MAX_TREE_DEPTH, 3))  # All halves are added after the points, and taken.
    points, leapfrogs = _by_hand(z, momentum, uniforms, step_size)
    assert leapfrogs == len(points) - 1
    half = slice(len(points) // 2, None)
    positions, drawn, grid = np.array([point[0] for point in points])[half], [], np.linspace(0.0002, 0.9998, 2500)
    for uniforms[:, 2] in grid:
        made = _compiled(*_tensors(z, momentum, uniforms, step_size))
        drawn.append(np.abs(positions - made.point.z).max(-1).argmin())
    expected = np.exp([-((z / SDS) ** 2).sum() / 2 - momentum @ momentum / 2 for z, momentum in points])[half]
    expected /= expected.sum()
    assert expected.max() > 1.5 * expected.min()
    np.testing.assert_allclose(np.bincount(drawn, minlength=len(expected)) / len(grid), expected, atol=0.01)
