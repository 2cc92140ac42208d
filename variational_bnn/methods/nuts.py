"""Transitions of the No-U-Turn sampler, of one chain that is given its random numbers.

TFP's sampler is for chains in lockstep: each waits for the longest trajectory, every operation has an axis of chains,
and random numbers are drawn at each leapfrog. With one chain, and three random numbers for each doubling of a
trajectory, a leapfrog costs little more than the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from variational_bnn.models.backend import tf

MAX_TREE_DEPTH = 10
MAX_ENERGY_ERROR = 1000.0
"""A leapfrog that loses more log density than this has diverged, which ends the trajectory."""

BELOW_ONE = 1 - 2**-53

LogDensity = Callable[[tf.Tensor], tf.Tensor]


class Point(NamedTuple):
    """A state of the chain: z `[P]`, and the log density and its gradient `[P]` there."""

    z: tf.Tensor
    log_density: tf.Tensor
    gradient: tf.Tensor


class Transition(NamedTuple):
    """The state after a transition, its mean acceptance probability, and how many leapfrogs it took."""

    point: Point
    acceptance: tf.Tensor
    leapfrogs: tf.Tensor


class _Phase(NamedTuple):
    """A point of a trajectory, with its momentum."""

    point: Point
    momentum: tf.Tensor


class _Tree(NamedTuple):
    """What is kept of a set of consecutive points: one of them, drawn by its weight, and sums over all."""

    candidate: Point
    momentum_sum: tf.Tensor
    log_weight: tf.Tensor
    acceptance_sum: tf.Tensor
    leapfrogs: tf.Tensor
    stopped: tf.Tensor


class _Memory(NamedTuple):
    """Of the subtrees that are not complete: the first point's momentum, and the sum of those before `[depth, P]`."""

    first: tf.Tensor
    before: tf.Tensor


def _levels() -> tuple[Any, Any]:
    """Of each leapfrog of a doubling, the lowest and the highest level whose subtree its point ends, if it is odd.

    A point of even number n starts subtrees, and is remembered at level popcount(n), above those of subtrees that are
    not complete. A point of odd number ends as many subtrees as its number has trailing ones.
    """
    numbers = range(2 ** (MAX_TREE_DEPTH - 1))
    highest = np.array([(n // 2).bit_count() for n in numbers], np.int32)
    ended = np.array([((n ^ (n + 1)) >> 1).bit_count() for n in numbers], np.int32)
    return highest - ended + 1, highest


LOWEST, HIGHEST = _levels()


def point_at(log_density: LogDensity, z: tf.Tensor) -> Point:
    """The state with these weights."""
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = log_density(z)
    return Point(z, value, tape.gradient(value, z))


def transition(
    log_density: LogDensity,
    start: Point,
    *,
    step_size: tf.Tensor,
    scale: tf.Tensor,
    momentum: tf.Tensor,
    uniforms: tf.Tensor,
) -> Transition:
    """One transition of NUTS with multinomial choices (Hoffman & Gelman 2014; Betancourt 2017, arXiv 1701.02434).

    Args:
        log_density: From z `[P]` to the log of the density, up to a constant.
        start: State before it.
        step_size: Of the leapfrogs.
        scale: Standard deviation `[P]` of each weight, or about that: z / scale has unit mass.
        momentum: Standard normal random numbers `[P]`.
        uniforms: `[MAX_TREE_DEPTH, 3]` in double precision, uniform on 0 to 1: for each doubling its direction,
            whether the point drawn from the added half is taken, and which point of that half is drawn.
    """
    energy = _energy(_Phase(start, momentum))

    def double(depth: tf.Tensor, ends: _Phase, tree: _Tree) -> tuple[Any, ...]:
        """Add as many points as there are, before or after them."""
        direction, choice, within = tf.unstack(uniforms[depth])
        after = direction < 0.5
        from_end = tf.nest.map_structure(lambda end: tf.where(after, end[1], end[0]), ends)
        count = tf.bitwise.left_shift(1, depth)
        step = tf.where(after, step_size, -step_size) * scale
        end, added = _subtree(log_density, from_end, count, energy, step, within)
        ends = tf.nest.map_structure(
            lambda old, new: tf.stack([tf.where(after, old[0], new), tf.where(after, new, old[1])]), ends, end
        )
        taken = ~added.stopped & (tf.math.log(tf.cast(choice, tf.float32)) < added.log_weight - tree.log_weight)
        momentum_sum = tree.momentum_sum + added.momentum_sum
        tree = _Tree(
            candidate=_choose(taken, added.candidate, tree.candidate),
            momentum_sum=momentum_sum,
            log_weight=_log_add(tree.log_weight, added.log_weight),
            acceptance_sum=tree.acceptance_sum + added.acceptance_sum,
            leapfrogs=tree.leapfrogs + added.leapfrogs,
            stopped=added.stopped | _turns(ends.momentum[0], ends.momentum[1], momentum_sum),
        )
        return depth + 1, ends, tree

    first = _Tree(start, momentum, tf.constant(0.0), tf.constant(0.0), tf.constant(0), tf.constant(False))
    ends = tf.nest.map_structure(lambda value: tf.stack([value, value]), _Phase(start, momentum))
    *_, tree = tf.while_loop(
        lambda depth, _, tree: (depth < MAX_TREE_DEPTH) & ~tree.stopped, double, (tf.constant(0), ends, first)
    )
    return Transition(tree.candidate, tree.acceptance_sum / tf.cast(tree.leapfrogs, tf.float32), tree.leapfrogs)


def _subtree(
    log_density: LogDensity, start: _Phase, count: tf.Tensor, energy: tf.Tensor, step: tf.Tensor, uniform: tf.Tensor
) -> tuple[_Phase, _Tree]:
    """The points after one, `count` of them unless a subtree turns or diverges before, and the last of them.

    One uniform random number draws the candidate: what is left of it after each choice is uniform again. The choices of
    a long trajectory use up some 30 of its binary digits, which is why it has 53 of them.
    """
    size = start.momentum.shape[0]

    def leapfrog(phase: _Phase, tree: _Tree, memory: _Memory, uniform: tf.Tensor) -> tuple[Any, ...]:
        number = tree.leapfrogs
        halfway = phase.momentum + step / 2 * phase.point.gradient
        point = point_at(log_density, phase.point.z + step * halfway)
        phase = _Phase(point, halfway + step / 2 * point.gradient)
        gain = _energy(phase) - energy
        gain = tf.where(tf.math.is_nan(gain), -np.inf, gain)
        log_weight = _log_add(tree.log_weight, gain)
        share = tf.cast(tf.exp(gain - log_weight), tf.float64)
        taken = uniform < share
        rest = tf.where(taken, uniform / share, (uniform - share) / (1 - share))
        momentum_sum = tree.momentum_sum + phase.momentum
        lowest, highest = tf.gather(LOWEST, number), tf.gather(HIGHEST, number)
        odd = tf.cast(tf.bitwise.bitwise_and(number, 1), tf.bool)
        started = ((tf.range(MAX_TREE_DEPTH) == highest) & ~odd)[:, None]
        memory = _Memory(
            tf.where(started, phase.momentum, memory.first), tf.where(started, tree.momentum_sum, memory.before)
        )
        _, turned = tf.while_loop(
            lambda level, turned: odd & (level >= lowest) & ~turned,
            lambda level, _: (
                level - 1,
                _turns(memory.first[level], phase.momentum, momentum_sum - memory.before[level]),
            ),
            (highest, tf.constant(False)),
        )
        tree = _Tree(
            candidate=_choose(taken, point, tree.candidate),
            momentum_sum=momentum_sum,
            log_weight=log_weight,
            acceptance_sum=tree.acceptance_sum + tf.exp(tf.minimum(gain, 0.0)),
            leapfrogs=number + 1,
            stopped=turned | (gain < -MAX_ENERGY_ERROR),
        )
        return phase, tree, memory, tf.minimum(rest, BELOW_ONE)

    empty = _Tree(
        start.point, tf.zeros([size]), tf.constant(-np.inf), tf.constant(0.0), tf.constant(0), tf.constant(False)
    )
    memory = _Memory(tf.zeros([MAX_TREE_DEPTH, size]), tf.zeros([MAX_TREE_DEPTH, size]))
    end, tree, *_ = tf.while_loop(
        lambda _, tree, *__: (tree.leapfrogs < count) & ~tree.stopped, leapfrog, (start, empty, memory, uniform)
    )
    return end, tree


def _energy(phase: _Phase) -> tf.Tensor:
    """Minus the Hamiltonian."""
    return phase.point.log_density - tf.reduce_sum(phase.momentum**2) / 2


def _turns(first: tf.Tensor, last: tf.Tensor, momentum_sum: tf.Tensor) -> tf.Tensor:
    """Whether one of the ends of a trajectory moves back, by the criterion of Betancourt (2017, A.4.2)."""
    return (tf.reduce_sum(first * momentum_sum) <= 0) | (tf.reduce_sum(last * momentum_sum) <= 0)


def _choose(condition: tf.Tensor, one: Point, other: Point) -> Point:
    return tf.nest.map_structure(lambda a, b: tf.where(condition, a, b), one, other)


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(exp(a) + exp(b)) of numbers of which one may be minus infinity, or both."""
    larger = tf.maximum(a, b)
    return tf.where(tf.math.is_inf(larger), larger, larger + tf.math.log1p(tf.exp(-tf.abs(a - b))))
