"""Several Markov chains at once, on threads: compiled calls let go of the interpreter's lock.

Each chain is advanced by itself, a few steps a call, with random numbers of its own. So the draws are the same however
many threads there are, and no chain waits for another but where they adapt together.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np

from variational_bnn.base.checks import Float32Array
from variational_bnn.base.cores import available_cores
from variational_bnn.base.progress import report
from variational_bnn.models.backend import tf

WINDOW = 100
"""Steps of the warm-up after which a sampler adapts, from the states of all chains."""

NUMBERS = 2**22
"""Random numbers that are drawn for a call, at most, where one step does not take more."""

State = tuple[Any, ...]
"""Where a chain is, z `[P]`, and what its sampler has adapted: arrays."""


class Steps(NamedTuple):
    """What came of steps of one chain, or of C chains, with an axis for them after that of the steps.

    Attributes:
        z: States `[steps, C, P]`, in the order of the steps.
        log_density: `[steps, C]`, of the posterior, up to a constant.
        acceptance: Mean acceptance probability in each step `[steps, C]`; NaN of samplers that accept all.
        step_sizes: Step size of each step `[steps, C]`.
    """

    z: Float32Array
    log_density: Float32Array
    acceptance: Float32Array
    step_sizes: Float32Array


class Sampler(abc.ABC):
    """How chains are advanced and adapted.

    Attributes:
        steps: Steps of a call, a divisor of `WINDOW`.
    """

    steps: int

    @abc.abstractmethod
    def start(self) -> list[State]:
        """The state of each chain before the first step."""

    @abc.abstractmethod
    def advance(self, state: State, rng: np.random.Generator) -> tuple[State, Steps]:
        """Make the steps of a call of one chain. It is called on any thread, and changes nothing but the generator."""

    def adapt(self, states: list[State], windows: Sequence[Steps], *, last: bool) -> list[State]:
        """The states with which the chains go on after a window of the warm-up, by default the same.

        Args:
            states: State of each chain at the end of the window.
            windows: Steps of all chains in each window so far; those of the first half, rounded down, have no z.
            last: Whether it is the last one of the warm-up.
        """
        return states


def num_windows(steps: int) -> int:
    """Windows of the warm-up that hold so many steps."""
    return -(-steps // WINDOW)


def steps_of_a_call(numbers: int) -> int:
    """Steps of a call, where each takes so many random numbers."""
    return next((steps for steps in (25, 5) if steps * numbers <= NUMBERS), 1)


def traced_for(function: Any, values: Sequence[Any]) -> Any:
    """A compiled function, traced for values of these shapes: here, and not on the threads that will call it."""
    return function.get_concrete_function(*(tf.TensorSpec(np.shape(value), value.dtype) for value in values))


def make_steps(
    step: Callable[[tf.Tensor, Any], tuple[Any, Sequence[tf.Tensor]]], start: Any, count: int, shapes: Sequence[Any]
) -> tuple[Any, ...]:
    """Make steps in a loop of a compiled function.

    Args:
        step: From the number of a step and the state before it to the state after it, and what is kept of it.
        start: State before the first.
        count: How many steps.
        shapes: Shapes of what is kept of a step.

    Returns:
        The state after the last step, and what was kept of all of them.
    """
    arrays = [tf.TensorArray(tf.float32, count, element_shape=shape) for shape in shapes]

    def body(number: tf.Tensor, state: Any, arrays: list[tf.TensorArray]) -> tuple[Any, ...]:
        state, kept = step(number, state)
        return number + 1, state, [array.write(number, value) for array, value in zip(arrays, kept, strict=True)]

    _, state, arrays = tf.while_loop(lambda number, *_: number < count, body, (tf.constant(0), start, arrays))
    return state, *(array.stack() for array in arrays)


def run(sampler: Sampler, *, warmup: int, draws: int, seed: int, threads: int | None = None) -> Iterator[Steps]:
    """Run the chains: the windows of the warm-up, and then all draws.

    Args:
        sampler: The sampler, of one posterior.
        warmup: Steps of the warm-up, rounded up to whole windows.
        draws: Steps after it.
        seed: Seed of the random numbers; the draws are the same whatever the number of threads.
        threads: Threads on which chains are advanced; by default as many as there are cores.
    """
    states, windows = sampler.start(), num_windows(warmup)
    lengths = [WINDOW] * windows + [draws]
    calls = [-(-length // sampler.steps) for length in lengths]
    total, first, made = sum(calls) * len(states), 0, []
    pool = ThreadPoolExecutor(min(len(states), threads or available_cores()), "chains")

    def advance(chain: int, number: int) -> tuple[State, Steps]:
        bits = np.random.Philox(np.random.SeedSequence((seed, chain, number)))
        return sampler.advance(states[chain], np.random.Generator(bits))

    try:
        for stage, length in enumerate(lengths):
            parts: list[list[Steps]] = [[] for _ in states]
            pending: dict[Future[tuple[State, Steps]], int] = {
                pool.submit(advance, chain, first): chain for chain in range(len(states))
            }
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    chain = pending.pop(future)
                    states[chain], steps = future.result()
                    parts[chain].append(steps)
                    if len(parts[chain]) < calls[stage]:
                        pending[pool.submit(advance, chain, first + len(parts[chain]))] = chain
                    done = first * len(states) + sum(map(len, parts))
                    report(sampler.steps * done, sampler.steps * total, "steps of all chains")
            first += calls[stage]
            by_chain = [Steps(*map(np.concatenate, zip(*chain, strict=True))) for chain in parts]
            window = Steps(*(np.stack(values, axis=1)[:length] for values in zip(*by_chain, strict=True)))
            del parts, by_chain
            yield window
            if stage < windows:
                made.append(window)
                half = len(made) // 2
                made[:half] = [early._replace(z=early.z[:0].copy()) for early in made[:half]]
                states = sampler.adapt(states, made, last=stage == windows - 1)
            if stage == windows - 1:
                made.clear()
    finally:
        pool.shutdown(cancel_futures=True)
