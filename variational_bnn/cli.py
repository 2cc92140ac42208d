"""The commands. Each says what is wrong in one line, with exit status 2, and leaves nothing half written."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from variational_bnn.base import ACTIVATIONS, Dataset, Network, Training
from variational_bnn.base.checks import require
from variational_bnn.datasets import DATASETS, IMAGES, load, load_images
from variational_bnn.evaluation.regions import split
from variational_bnn.experiments.directory import read_settings

if TYPE_CHECKING:
    from rich.table import Table

    from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison
    from variational_bnn.experiments.comparison import Comparison

RESULTS = Path("variational-bnn-results")
SPLIT_SEED = 0


class _Refused(click.ClickException):
    """One line on standard error, and exit status 2."""

    exit_code = 2


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Show what the package refuses as one line instead of a traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise _Refused(" ".join(str(error).split())) from error


@contextlib.contextmanager
def _resumable(directory: Path) -> Iterator[None]:
    """Say after Ctrl-C that nothing finished is lost."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise click.ClickException(f"stopped; the same command goes on from {directory}") from stop


class _Commands(click.Group):
    """Shows what click refuses in one line, too."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _Refused(error.format_message()) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="variational-bnn")
def commands() -> None:
    """Where does each kind of variation know that it does not know?"""


@commands.command()
@click.option("--data", default="lecture", show_default=True, help="A dataset's name (see `list`) or a CSV file.")
@click.option("--target", help="The column of the CSV file to predict; all others are features.")
@click.option("--classes", is_flag=True, help="The target is a class, though it is written in numbers.")
@click.option("--gap", metavar="FEATURE", help="Hold out the middle third of this feature as `between`.")
@click.option("--tail", metavar="FEATURE", help="Hold out the upper tenth of this feature as `beyond`.")
@click.option("--methods", default="output,flipout,hidden", show_default=True, help="Names with commas (see `list`).")
@click.option("--seeds", default=5, show_default=True, help="How many fits of each method.")
@click.option("--workers", default=1, show_default=True, help="How many fits at a time.")
@click.option("--out", type=click.Path(path_type=Path), help=f"Where to keep it all.  [default: {RESULTS}/DATASET]")
@click.option("--hidden-units", default="50", show_default=True, help="Of each hidden layer, with commas; '' for none.")
@click.option("--activation", default="relu", show_default=True, help=f"One of {', '.join(ACTIVATIONS)}.")
@click.option("--prior-scale", default=1.0, show_default=True, help="Of the weights, times the root of the fan-in.")
@click.option("--noise", help="heteroscedastic, learned, or its sd in units of y.  [default: as known, or the first]")
@click.option("--steps", default=Training().steps, show_default=True, help="Gradient steps of each fit.")
@click.option("--warmup", default=Training().warmup, show_default=True, help="Steps of a Markov chain thrown away.")
@click.option("--draws", default=Training().draws, show_default=True, help="Draws kept of each Markov chain.")
@click.option("--samples", default=200, show_default=True, help="Draws of each predictive.")
def compare(**options: Any) -> None:
    """Fit each method to the same data, and show where each is uncertain.

    Without options: the lecture's 20 points and its three kinds of variation. A run that was stopped goes on where it
    was when the same command is given again.
    """
    with _one_line():
        rows = load(options["data"], options["target"], classes=options["classes"] or None)
        dataset = split(rows, gap=options["gap"], tail=options["tail"], seed=SPLIT_SEED)
        require(options["seeds"] >= 1, f"--seeds must be >= 1, got {options['seeds']}")
        out = options["out"] or RESULTS / _as_file_name(dataset.name)
        with Console(stderr=True).status("starting TensorFlow"):
            from variational_bnn.experiments import comparison

        with _resumable(out):
            found = comparison.compare(
                dataset,
                methods=_names(options["methods"]),
                seeds=range(options["seeds"]),
                network=_network(dataset, options),
                training=Training(steps=options["steps"], warmup=options["warmup"], draws=options["draws"]),
                num_samples=options["samples"],
                workers=options["workers"],
                directory=out,
            )
        _show(found, out)


@commands.command()
@click.option("--data", default="digits", show_default=True, help="digits, mnist, or an .npz file (see `list`).")
@click.option("--models", default="ae,vae,flipout-ae,flipout-vae", show_default=True, help="Names with commas.")
@click.option("--latent", default=2, show_default=True, help="How many latents.")
@click.option("--seeds", default=1, show_default=True, help="How many fits of each model.")
@click.option("--epochs", type=int, help="Of each fit.  [default: 15, or more if the images are few]")
@click.option("--held-out", type=int, metavar="LABEL", help="The class kept from a second fit.  [default: the last]")
@click.option("--out", type=click.Path(path_type=Path), help="Where to keep it all; as for `compare` by default.")
def autoencoder(**options: Any) -> None:
    """Fit autoencoders to images, pixels in black and white, and show what they make of them.

    Plain (ae), variational (vae), with uncertain weights in the encoder (flipout-ae), or variational with all weights
    uncertain (flipout-vae): their bounds, latent codes and reconstructions, and how far these spread for a class that
    was not seen. A run that was stopped goes on where it was when the same command is given again.
    """
    with _one_line():
        images = load_images(options["data"]).binarised()
        require(options["seeds"] >= 1, f"--seeds must be >= 1, got {options['seeds']}")
        out = options["out"] or RESULTS / f"autoencoder-{_as_file_name(images.name)}"
        with Console(stderr=True).status("starting TensorFlow"):
            from variational_bnn import autoencoders

        training = autoencoders.AutoencoderTraining.for_images(len(images.x_train))
        with _resumable(out):
            found = autoencoders.compare_autoencoders(
                images,
                models=_names(options["models"]),
                seeds=range(options["seeds"]),
                latent_size=options["latent"],
                training=training if options["epochs"] is None else replace(training, epochs=options["epochs"]),
                held_out=options["held_out"],
                directory=out,
            )
        _show_autoencoders(found, out)


@commands.command(name="list")
def list_() -> None:
    """Show methods and datasets, a line each."""
    from variational_bnn.methods import METHODS

    about = {name: inspect.getdoc(method) or "" for name, method in METHODS.items()}
    datasets = {**DATASETS, "FILE.csv": "any table of numbers with a header, with --target COLUMN, numbers or classes"}
    images = {**IMAGES, "FILE.npz": "any grey images with labels: x_train, y_train, x_test, y_test"}
    for heading, lines in (("methods", about), ("datasets", datasets), ("images, for autoencoder", images)):
        click.echo(f"{heading}:")
        for name, text in lines.items():
            click.echo(f"  {name:26}{text.splitlines()[0]}")


@commands.command()
@click.argument("directory", type=click.Path(path_type=Path))
def plot(directory: Path) -> None:
    """Draw the figures of DIRECTORY again, from its rows."""
    from variational_bnn.experiments.autoencoder_comparison import KIND, AutoencoderComparison
    from variational_bnn.experiments.comparison import Comparison

    with _one_line():
        if read_settings(directory).get("kind") == KIND:
            _show_autoencoders(AutoencoderComparison.read(directory), directory)
            return
        found = Comparison.read(directory)
        require(len(found.results) > 0, f"{directory} holds no finished cells")
        _show(found, directory)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def _network(dataset: Dataset, options: dict[str, Any]) -> Network:
    from variational_bnn.experiments.comparison import default_network
    from variational_bnn.models.likelihoods import Normal

    default = default_network(dataset)
    units = [text.strip() for text in options["hidden_units"].split(",") if text.strip()]
    bad = [text for text in units if not text.isdecimal()]
    require(not bad, f"--hidden-units must be whole numbers with commas, got {options['hidden_units']!r}")
    of_numbers = options["noise"] is None or not dataset.class_names
    require(of_numbers, f"--noise is of numbers, and the target is a class, got {options['noise']!r}")
    known = {None: default.likelihood, "heteroscedastic": Normal(), "learned": Normal(scale="learned")}
    likelihood = known.get(options["noise"])
    return Network(
        input_shape=default.input_shape,
        output_size=default.output_size,
        hidden_units=tuple(int(text) for text in units),
        activation=options["activation"],
        likelihood=likelihood or Normal(scale=_number("--noise", options["noise"])),
        prior_scale=options["prior_scale"],
    )


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{name} must be heteroscedastic, learned or a number, got {text!r}") from error


def _show(found: Comparison, directory: Path) -> None:
    """Print the table and the verdicts, and save the figures."""
    from variational_bnn.report.tables import failures, legend, tables, verdicts

    about = found.settings["dataset"]
    seeds = found.results["seed"].nunique()
    classes = f" of {len(names)} classes" if (names := about.get("class_names")) else ""
    described = f"{about.get('name')}, {len(found.data)} training rows{classes}, {seeds} seed{'s' if seeds > 1 else ''}"
    summary = found.table
    _print(tables(summary, described, found.reference), legend(summary), verdicts(summary) + failures(found.results))
    _save(found, directory)


def _show_autoencoders(found: AutoencoderComparison, directory: Path) -> None:
    """Print the tables and the verdicts, and save the figures."""
    from variational_bnn.report.autoencoder_tables import LEGEND, failures, tables, verdicts

    require(len(found.results) > 0, f"{directory} holds no finished cells")
    about = found.settings["images"]
    seeds = found.results["seed"].nunique()
    described = f"{about['name']}, {about['test']} test images, {seeds} seed{'s' if seeds > 1 else ''}"
    summary, rows = found.table, found.results
    _print(tables(summary, rows, described), LEGEND, verdicts(summary, rows) + failures(rows))
    _save(found, directory)


def _print(tables: Iterable[Table], legend: str, lines: Iterable[str]) -> None:
    console = Console()
    for table in tables:
        console.print(table)
    console.print(legend, style="dim", highlight=False)
    for line in lines:
        console.print(f"- {line}", highlight=False, markup=False)


def _save(found: Comparison | AutoencoderComparison, directory: Path) -> None:
    for path in found.save(directory):
        click.echo(f"figure {path}")
    click.echo(f"rows {directory / 'results.csv'}")
