"""Speed and memory, against peers and the same networks as tutorials write them: `python benchmarks/speed.py`.

Each row is a ratio of medians of one run, in which ours and theirs take turns (A B A B) once both are warm. Times
depend on what else the machine does, ratios less so. Targets are of the ratio theirs / ours.

The peers run in an environment of their own: `python -m venv peers`, then `peers/bin/pip install -r
benchmarks/peers/requirements.txt`, and `--peer-python peers/bin/python`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
from races import Row, Setting, table, write
from rich.console import Console
from speed_compare import compare
from speed_fit import fit_features, fit_images, fit_small
from speed_mnist import mnist
from speed_predict import large, predict, predict_images
from speed_together import seeds_together

OUT = Path(__file__).parent / "results" / "speed.csv"
TURNS = 7
GROUPS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    group.__name__: group
    for group in (fit_small, fit_features, fit_images, predict, predict_images, mnist, seeds_together, compare, large)
}
WITH_PEERS = ("fit_small", "fit_features", "predict")


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(GROUPS)), help="Groups of rows; several are allowed.")
@click.option("--peer-python", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="One with the peers.")
@click.option("--before", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A checkout of old.")
@click.option("--turns", default=TURNS, show_default=True, type=click.IntRange(1))
@click.option("--out", default=OUT, show_default=True, type=click.Path(path_type=Path, dir_okay=False))
def main(only: tuple[str, ...], peer_python: Path | None, before: Path | None, turns: int, out: Path) -> None:
    """Measure, print a table and write its rows; those of groups that are not measured stay as they are."""
    console, rows = Console(), dict[str, list[Row]]()

    def say(line: str) -> None:
        console.print(line, highlight=False)

    setting = Setting(turns=turns, peer_python=peer_python, before=before, say=say)
    for name in only or GROUPS:
        if name in WITH_PEERS and not peer_python:
            say(f"{name}: without --peer-python the rows against peers are left out")
        if name == "compare" and not before:
            say("compare: without --before there is nothing to compare with")
        measured = list[Row]()
        for row in GROUPS[name](setting):
            measured.append(row)
            say(f"{row.what}: {row.ratio:.3g}")
        if measured:
            rows[name] = measured
            write(rows, out, list(GROUPS))
    console.print(table([row for measured in rows.values() for row in measured]))
    say(f"{out}: {sum(map(len, rows.values()))} rows measured")


if __name__ == "__main__":
    main()
