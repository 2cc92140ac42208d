"""The command line: `variational-bnn`, or `python -m variational_bnn`."""

from __future__ import annotations

import os
import sys

from variational_bnn.stopping import end_on_signals


def main() -> None:
    """Run the command line, in silence but for what it says itself."""
    end_on_signals()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from variational_bnn.cli import commands
    except (ImportError, MemoryError) as error:  # As where memory is short.
        print(f"Error: cannot start: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)

    commands(prog_name="variational-bnn")


if __name__ == "__main__":
    main()
