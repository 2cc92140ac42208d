"""SIGINT and SIGTERM end the command line at once: one line on standard error, an exit status, nothing half written.

A thread waits for them. Python's own handlers would wait for the main thread, which may be in compiled code for
minutes, and what they raise is lost in callbacks and becomes other errors while a module is imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)

LONGEST_WRITE = 10.0
"""Seconds that a file has to be written to its end."""

_SHOW_CURSOR = "\x1b[?25h\n"

_writing = threading.RLock()
_notes: list[str] = []


def end_on_signals() -> None:
    """From now on, end the process with the line "Error: stopped" and exit status 128 + N on signal N.

    A signal that is ignored, as of processes that a shell starts in the background, stays ignored. To be called by the
    main thread.
    """
    screen = os.dup(2)  # Standard error is closed for a while as TensorFlow is imported.
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def wait() -> None:
        while (number := ours.recv(1)[0]) not in handled:
            pass
        _writing.acquire(timeout=LONGEST_WRITE)
        line = "; ".join(["Error: stopped", *_notes[-1:]])
        cursor = _SHOW_CURSOR if os.isatty(screen) else ""
        with contextlib.suppress(OSError):  # Nobody may be reading.
            os.write(screen, f"{cursor}{line}\n".encode())
        theirs.close()
        os._exit(128 + number)

    threading.Thread(target=wait, daemon=True).start()
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in handled:
        signal.signal(number, lambda *_: None)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """While this lasts, the process does not end: for files, which should be whole."""
    with _writing:
        yield


@contextlib.contextmanager
def noting(note: str) -> Iterator[None]:
    """While this lasts, what the line says after "stopped"."""
    _notes.append(note)
    try:
        yield
    finally:
        _notes.remove(note)
