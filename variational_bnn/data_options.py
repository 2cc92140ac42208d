"""The options of the commands that read a table, and the dataset that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from variational_bnn.base import Dataset
from variational_bnn.datasets import DATASETS, load
from variational_bnn.evaluation.split import split

SPLIT_SEED = 0
LARGE_FILE = 10_000_000
"""Bytes; the reading of a larger file is announced."""

_OPTIONS = (
    click.option(
        "--data", default="lecture", show_default=True, help="A dataset's name (see `list`), a CSV or Parquet file."
    ),
    click.option("--target", help="The column of the file to predict; all others are features."),
    click.option("--classes", is_flag=True, help="The target is a class, though it is written in numbers."),
    click.option("--encode", is_flag=True, help="Make features of words, dates, and true and false."),
    click.option("--missing", metavar="RULE", help="For missing values: drop, mean, median or most_frequent."),
    click.option("--sep", help="Separator: comma, semicolon, tab, pipe or space.  [default: found]"),
    click.option("--decimal", help="Decimal mark: point or comma.  [default: found]"),
    click.option("--gap", metavar="FEATURE", help="Hold out the middle third of this feature as `between`."),
    click.option("--tail", metavar="FEATURE", help="Hold out the upper tenth of this feature as `beyond`."),
)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `read_dataset` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_dataset(options: Mapping[str, Any]) -> Dataset:
    """The dataset that the options name, with rows held out as they say.

    Raises:
        ValueError: If `load` or `split` raises one.
    """
    path = Path(options["data"])
    if options["data"] not in DATASETS and path.is_file() and path.stat().st_size > LARGE_FILE:
        click.echo(f"reading {path}, {path.stat().st_size / 1e6:.0f} MB", err=True)
    rules = {name: options[name] for name in ("encode", "missing", "sep", "decimal")}
    rows = load(options["data"], options["target"], classes=options["classes"] or None, **rules)
    return split(rows, gap=options["gap"], tail=options["tail"], seed=SPLIT_SEED)
