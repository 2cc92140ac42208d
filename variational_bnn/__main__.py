"""The command line: `variational-bnn`, or `python -m variational_bnn`."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line, in silence but for what it says itself."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from variational_bnn.cli import commands

    commands(prog_name="variational-bnn")


if __name__ == "__main__":
    main()
