"""SIGINT and SIGTERM: at once, whatever the process does, in one line, but not in the middle of a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="A process cannot be sent these signals there.")

READY = "print('ready', flush=True)"
CASES = {
    "in compiled code": (f"{READY}; import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)", [signal.SIGINT]),
    "where errors are lost": (
        f"class Callback:\n def __del__(self):\n  {READY}\n  time.sleep(60)\nCallback()",
        [signal.SIGTERM],
    ),
    "ignored": (f"{READY}; time.sleep(60)", [signal.SIGINT, signal.SIGTERM]),
}


def _process(code: str, *, ignored: bool = False) -> subprocess.Popen[str]:
    handler = "SIG_IGN" if ignored else "default_int_handler"
    start = f"import signal, time; signal.signal(signal.SIGINT, signal.{handler})\n"
    start += "from variational_bnn.stopping import end_on_signals, noting, writing; end_on_signals()\n"
    command = [sys.executable, "-c", start + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("case", CASES)
def test_it_ends_at_once(case: str) -> None:
    code, numbers = CASES[case]
    process = _process(code, ignored=case == "ignored")
    assert process.stdout is not None
    process.stdout.readline()
    for number in numbers:
        process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (128 + numbers[-1], "Error: stopped\n")


def test_a_file_is_written_to_its_end_first() -> None:
    code = f"""
with noting("go on"):
    with writing():
        {READY}
        time.sleep(1)
        print("whole", flush=True)
    time.sleep(60)
"""
    process = _process(code)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGTERM)
    out, said = process.communicate(timeout=10)
    assert (process.returncode, out, said) == (143, "whole\n", "Error: stopped; go on\n")
