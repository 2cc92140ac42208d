"""What the commands print of a comparison: tables, verdicts, and where its files are."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from variational_bnn.base.checks import require
from variational_bnn.experiments.store import RESULTS

if TYPE_CHECKING:
    from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison
    from variational_bnn.experiments.comparison import Comparison


def show(comparison: Comparison, directory: Path) -> None:
    """Print how good the methods are on held-out rows, where they are uncertain, and all else; save the figures."""
    from variational_bnn.report.answer import answer, explained, findings
    from variational_bnn.report.tables import failures, legend, tables, verdicts

    require(len(comparison.results) > 0, f"{directory} holds no finished runs")
    about, results = comparison.settings["dataset"], comparison.results
    classes = f" of {len(names)} classes" if (names := about.get("class_names")) else ""
    rows = about.get("rows", len(comparison.data))  # Of very many rows, the data are some.
    title = f"{about.get('name')}, {rows:,} training rows{classes}, {_seeds(results['seed'].nunique())}"
    summary, scores = comparison.table, comparison.scores
    uncertain, *others = tables(summary, title, comparison.reference)
    first = answer(scores, title)
    console = _console()
    if first is not None:
        console.print(first)
        _print_lines(console, findings(scores))
        console.print()
    console.print(uncertain)
    _print_lines(console, [*(findings(scores) if first is None else []), *verdicts(summary), *failures(results)])
    console.print()
    for table in others:
        console.print(table)
    for text in filter(None, (explained(scores), legend(summary))):
        console.print(text, style="dim", highlight=False)
    _save(comparison, directory)


def show_autoencoders(comparison: AutoencoderComparison, directory: Path) -> None:
    """Print the tables and the verdicts, and save the figures."""
    from variational_bnn.report.autoencoder_tables import LEGEND, failures, tables, verdicts

    require(len(comparison.results) > 0, f"{directory} holds no finished runs")
    about, summary, results = comparison.settings["images"], comparison.table, comparison.results
    title = f"{about['name']}, {about['test']} test images, {_seeds(results['seed'].nunique())}"
    console = _console()
    for table in tables(summary, results, title):
        console.print(table)
    console.print(LEGEND, style="dim", highlight=False)
    _print_lines(console, verdicts(summary, results) + failures(results))
    _save(comparison, directory)


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"


def _console() -> Console:
    """The console for tables and lines, in which a name may have brackets, colons and letters of any script."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(markup=False, emoji=False)


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(f"- {line}", highlight=False)


def _save(comparison: Comparison | AutoencoderComparison, directory: Path) -> None:
    for path in comparison.save(directory):
        click.echo(f"figure {path}")
    click.echo(f"rows {directory / RESULTS}")
