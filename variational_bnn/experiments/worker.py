"""A worker: a process that executes groups of runs for this one, and never outlives it.

It is a new interpreter that has two pipes to the process that started it, and nothing else in common with it: no
semaphores, no shared memory, no process beside the two that would have to clean up. It imports nothing but the standard
library until it sees to it that it ends with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

END_SECONDS = 5.0
"""How long a worker may take to end that has nothing to do."""

REPORT_SECONDS = 0.5
"""How often a worker says how far it is, at most."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from variational_bnn.experiments.worker import main; main(int(sys.argv[2]))"
)
_LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Report:
    """How far a worker is with its group: the share, and words."""

    share: float
    text: str


@dataclass(frozen=True)
class Done:
    """A run of a worker's group is executed: its key and the outcome."""

    key: Any
    outcome: Any


@dataclass(frozen=True)
class Ended:
    """A worker has executed its group, and waits for another."""


@dataclass(frozen=True)
class Failed:
    """A worker could not load its group: the status of the runs. It waits for another."""

    status: str


@dataclass(frozen=True)
class Died:
    """A worker is no more: its exit status, which is minus the number of the signal if a signal ended it."""

    exit_status: int

    def __str__(self) -> str:
        """What ended it, in words."""
        if self.exit_status >= 0:
            return f"the worker process ended with exit status {self.exit_status}"
        number = -self.exit_status
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        memory = ", as for lack of memory" if name in ("SIGKILL", "SIGABRT") else ""
        return f"the worker process was ended by {name}{memory}"


Message = Report | Done | Ended | Failed | Died


class Worker:
    """The handle of a worker process.

    Args:
        inbox: Where its messages are put, each with the worker.
        threads: How many threads its numerical libraries may use, where the environment does not say.
    """

    def __init__(self, inbox: SimpleQueue[tuple[Worker, Message]], threads: int) -> None:
        environment = {name: os.environ.get(name, str(threads)) for name in THREAD_VARIABLES}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps([str(place) for place in sys.path]), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C in a terminal is for this process alone.
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def give(self, data: bytes) -> bool:
        """Give it a pickled group; False if it is no more."""
        try:
            _write(self._to, data)
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Let it end by itself: it has nothing to do."""
        with contextlib.suppress(OSError):
            self._to.close()

    def join(self) -> None:
        """Wait for the end that it was let to, for a while."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)

    def kill(self) -> None:
        """End it, whatever it does, with the processes that it started."""
        if self._process.poll() is None:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self.end()

    def _listen(self, inbox: SimpleQueue[tuple[Worker, Message]]) -> None:
        with self._from:
            while (data := _read(self._from)) is not None:
                inbox.put((self, pickle.loads(data)))  # Made by this process's own child; never read from a file.
        inbox.put((self, Died(self._process.wait())))


def main(parent: int) -> None:
    """Execute the groups that come on standard input, and write what comes of them to standard output."""
    _end_with(parent)
    given, answers = os.fdopen(os.dup(0), "rb"), _Answers(os.fdopen(os.dup(1), "wb"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # What a method prints is no answer.
    groups: SimpleQueue[bytes | None] = SimpleQueue()
    busy = threading.Event()

    def listen() -> None:
        while (data := _read(given)) is not None:
            busy.set()
            groups.put(data)
        if busy.is_set():
            os._exit(1)  # Nobody waits for the outcomes.
        groups.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (data := groups.get()) is not None:
        last = _answer(data, answers)
        busy.clear()  # Before the parent knows, and may send the next group.
        answers.tell(last)


def _answer(data: bytes, answers: _Answers) -> Ended | Failed:
    """Execute a pickled group, and tell each outcome as it comes; how the group itself ended."""
    try:
        group = pickle.loads(data)  # Made by this process's own parent; never read from a file.
        from variational_bnn.base.progress import watching
    except MemoryError as error:
        return Failed(f"out of memory: {error}")
    except Exception as error:  # What cannot be loaded fails in as many ways as there are modules.
        return Failed(f"not loaded: {type(error).__name__}: {error}")
    with watching(answers.report):
        for run, outcome in group.outcomes():
            try:
                answers.tell(Done(run.key, outcome))
            except Exception as error:  # As when the outcome cannot be pickled.
                answers.tell(Done(run.key, dataclasses.replace(run.failed_by(error), finished=False)))
    return Ended()


class _Answers:
    """What a worker says to the process that started it. Of its reports only the latest matters.

    Args:
        file: A pipe to that process.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._lock = file, threading.Lock()
        self._report: Report | None = None
        threading.Thread(target=self._report_now_and_then, daemon=True).start()

    def report(self, share: float, text: str) -> None:
        """Say soon how far the group is, unless there is more to be said by then."""
        self._report = Report(share, text)

    def tell(self, message: Message) -> None:
        """Say something at once."""
        data = pickle.dumps(message)
        with self._lock:
            self._report = None
            self._write(data)

    def _report_now_and_then(self) -> None:
        while True:
            time.sleep(REPORT_SECONDS)
            with self._lock:
                report, self._report = self._report, None
                if report is not None:
                    self._write(pickle.dumps(report))

    def _write(self, data: bytes) -> None:
        """Write to the process that started this one; if it is no more, end without a word."""
        try:
            _write(self._file, data)
        except OSError:
            os._exit(1)


def _end_with(parent: int) -> None:
    """End when the process that started this one ends, even while a library holds Python's lock (where Linux is)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # It ended before it could be noticed.


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(_LENGTH.pack(len(data)) + data)
    file.flush()


def _read(file: IO[bytes]) -> bytes | None:
    """What was written next; None at the end."""
    length = file.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    (count,) = _LENGTH.unpack(length)
    data = file.read(count)
    return data if len(data) == count else None
