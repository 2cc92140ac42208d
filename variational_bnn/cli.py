"""The commands. Each says what is wrong in one line, with exit status 2, and leaves nothing half written."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from variational_bnn.base import ACTIVATIONS, Dataset, DatasetWarning, Network
from variational_bnn.base.checks import require, require_known
from variational_bnn.data_options import data_options, read_dataset
from variational_bnn.datasets import DATASETS, IMAGES, load_images
from variational_bnn.experiments.memory import GIB, LEAST_ADDRESS_SPACE, address_space
from variational_bnn.experiments.store import OtherVersionsWarning, read_settings
from variational_bnn.screen import show, show_autoencoders
from variational_bnn.stopping import noting

DIRECTORY = Path("variational-bnn-results")


class _Error(click.ClickException):
    """One line on standard error, and exit status 2."""

    exit_code = 2


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Show an error of the package as one line instead of a traceback, and its warnings as notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (DatasetWarning, OtherVersionsWarning):
            warnings.simplefilter("always", category)
        try:
            yield
        except MemoryError as error:
            raise _Error(" ".join(f"out of memory: {error}".split())) from error
        except (ValueError, OSError, ImportError) as error:
            raise _Error(" ".join(str(error).split())) from error
        finally:
            for note in dict.fromkeys(str(warning.message) for warning in caught):
                click.echo(f"Note: {note}", err=True)


@contextlib.contextmanager
def _starting_tensorflow() -> Iterator[None]:
    """Say so, which may take a while; or that there is not the address space for it."""
    space, needed = address_space(), LEAST_ADDRESS_SPACE * GIB
    little = f"the address space is limited to {space / GIB:.1f} GiB (ulimit -v), and TensorFlow needs about"
    require(space >= needed, f"{little} {LEAST_ADDRESS_SPACE:.1f} GiB")
    with Console(stderr=True).status("starting TensorFlow"):
        yield


class _Commands(click.Group):
    """Shows what click finds wrong in one line, too."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _Error(error.format_message()) from error


_SETTING = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="METHOD.SETTING=VALUE",
    help="A method's setting, such as hmc.draws=2000; * for every method that has it. May be repeated.",
)

_WORKERS = click.option("--workers", type=int, help="How many processes.  [default: as many as there are cores]")
_RETRY = click.option("--retry", is_flag=True, help="Execute runs again that failed, and are kept.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="variational-bnn")
def commands() -> None:
    """Where does each kind of variation know that it does not know?"""


@commands.command()
@data_options
@click.option(
    "--methods",
    help="Names separated by commas (see `list`).  [default: output,flipout,hidden,hidden_shared; and linear, where "
    "rows with numbers are held out]",
)
@_SETTING
@click.option("--seeds", default=5, show_default=True, help="How many fits of each method.")
@_WORKERS
@_RETRY
@click.option("--out", type=click.Path(path_type=Path), help=f"The results directory.  [default: {DIRECTORY}/DATASET]")
@click.option(
    "--hidden-units",
    default="50",
    show_default=True,
    help="Units of each hidden layer, separated by commas; '' for no hidden layer.",
)
@click.option("--activation", default="relu", show_default=True, help=f"One of {', '.join(ACTIVATIONS)}.")
@click.option(
    "--prior-scale", default=1.0, show_default=True, help="Prior sd of the weights, times the root of the fan-in."
)
@click.option("--noise", help="heteroscedastic, learned, or its sd in units of y.  [default: as known, or the first]")
@click.option("--samples", default=200, show_default=True, help="Function samples of each predictive.")
def compare(**options: Any) -> None:
    """Fit each method to the same data, and show where each is uncertain.

    Without options: the lecture's 20 points and its kinds of variation. A comparison that was stopped goes on
    where it was when the same command is given again.
    """
    with _one_line():
        dataset = read_dataset(options)
    with _one_line():
        require(options["seeds"] >= 1, f"--seeds must be >= 1, got {options['seeds']}")
        out = options["out"] or DIRECTORY / _as_file_name(dataset.name)
        with _starting_tensorflow():
            from variational_bnn.experiments.compare import compare as compare_methods
            from variational_bnn.experiments.compare import default_methods
            from variational_bnn.methods import METHODS

        with noting(f"the same command goes on from {out}"):
            network, given = _network(dataset, options), options["methods"]
            names = default_methods(dataset, network) if given is None else _names(given)
            comparison = compare_methods(
                dataset,
                methods=_with_settings("method", names, METHODS, options["settings"]),
                seeds=range(options["seeds"]),
                network=network,
                num_samples=options["samples"],
                workers=options["workers"],
                directory=out,
                retry=options["retry"],
            )
        show(comparison, out)


@commands.command()
@click.option("--data", default="digits", show_default=True, help="digits, mnist, or an .npz file (see `list`).")
@click.option("--models", default="ae,vae,flipout-ae,flipout-vae", show_default=True, help="Names separated by commas.")
@_SETTING
@click.option("--latent", default=2, show_default=True, help="How many latents.")
@click.option("--seeds", default=1, show_default=True, help="How many fits of each model.")
@_WORKERS
@_RETRY
@click.option("--held-out", type=int, metavar="LABEL", help="The class kept from a second fit.  [default: the last]")
@click.option("--out", type=click.Path(path_type=Path), help="The results directory.")
def autoencoder(**options: Any) -> None:
    """Fit autoencoders to images, with pixels in black and white, and show how they reconstruct them.

    Plain (ae), variational (vae), with uncertain weights in the encoder (flipout-ae), or variational with all weights
    uncertain (flipout-vae): their bounds, latent codes and reconstructions, and the predictive sd of a class that was
    not seen. A comparison that was stopped goes on where it was when the same command is given again.
    """
    with _one_line():
        images = load_images(options["data"]).binarised()
        require(options["seeds"] >= 1, f"--seeds must be >= 1, got {options['seeds']}")
        out = options["out"] or DIRECTORY / f"autoencoder-{_as_file_name(images.name)}"
        with _starting_tensorflow():
            from variational_bnn.experiments.compare_autoencoders import compare_autoencoders
            from variational_bnn.methods.autoencoders import AUTOENCODERS
            from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork

        with noting(f"the same command goes on from {out}"):
            comparison = compare_autoencoders(
                images,
                models=_with_settings("model", _names(options["models"]), AUTOENCODERS, options["settings"]),
                seeds=range(options["seeds"]),
                network=AutoencoderNetwork(image_shape=images.image_shape, latent_size=options["latent"]),
                held_out=options["held_out"],
                workers=options["workers"],
                directory=out,
                retry=options["retry"],
            )
        show_autoencoders(comparison, out)


@commands.command(name="list")
def list_() -> None:
    """Show methods and datasets, a line each."""
    from variational_bnn.methods import METHODS

    methods = {name: inspect.getdoc(type(method)) or "" for name, method in METHODS.items()}
    datasets = {name: dataset.about for name, dataset in DATASETS.items()}
    datasets["FILE.csv"] = "any table with a header, with --target COLUMN, numbers or classes; Parquet, too"
    images = {name: dataset.about for name, dataset in IMAGES.items()}
    images["FILE.npz"] = "any grey images with labels: x_train, y_train, x_test, y_test"
    for heading, lines in (("methods", methods), ("datasets", datasets), ("images, for autoencoder", images)):
        click.echo(f"{heading}:")
        for name, text in lines.items():
            click.echo(f"  {name:26}{text.splitlines()[0]}")


@commands.command()
@click.argument("directory", type=click.Path(path_type=Path))
def plot(directory: Path) -> None:
    """Draw the figures of the results directory DIRECTORY again, from its rows."""
    with _one_line():
        kind = read_settings(directory)["kind"]
        from variational_bnn.experiments import autoencoder_comparison, comparison

        if kind == autoencoder_comparison.KIND:
            show_autoencoders(autoencoder_comparison.AutoencoderComparison.read(directory), directory)
        else:
            show(comparison.Comparison.read(directory), directory)


@commands.command(name="repair")
@click.argument("directory", type=click.Path(path_type=Path))
def repair_(directory: Path) -> None:
    """Set aside what is damaged or was changed in the results directory DIRECTORY.

    It is moved to DIRECTORY/set-aside; nothing is deleted. The same `compare` or `autoencoder` then executes those runs
    again.
    """
    with _one_line():
        from variational_bnn.experiments.repair import repair

        moved = repair(directory)
    for place, error in moved.items():
        click.echo(f"set aside {place}: {error}")
    if not moved:
        click.echo(f"nothing is damaged in {directory}")


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",")))


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def _with_settings(
    kind: str, names: Iterable[str], known: Mapping[str, Any], settings: Iterable[str]
) -> dict[str, Any]:
    """The methods or models of these names, with the settings of `--set`."""
    for name in names:
        require_known(kind, name, tuple(known))
    chosen = {name: known[name] for name in names}
    for text in settings:
        target, separator, value = text.partition("=")
        name, dot, setting = target.strip().partition(".")
        require(bool(separator and dot), f"--set must be METHOD.SETTING=VALUE, got {text!r}")
        if name != "*":
            require_known(f"{kind} in --set", name, tuple(chosen))
        fields = {key: [field.name for field in dataclasses.fields(method)] for key, method in chosen.items()}
        having = [key for key in chosen if setting in fields[key] and name in ("*", key)]
        of = [entry for key in chosen if name in ("*", key) for entry in fields[key]]
        require(bool(having), f"unknown setting {setting!r} of {name}; known: {', '.join(dict.fromkeys(of))}")
        chosen |= {key: dataclasses.replace(chosen[key], **{setting: _value(value)}) for key in having}
    return chosen


def _value(text: str) -> Any:
    """A number, true, false or null as JSON writes them; any other text as it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def _network(dataset: Dataset, options: dict[str, Any]) -> Network:
    from variational_bnn.experiments.compare import default_network
    from variational_bnn.models.likelihoods import Normal

    default = default_network(dataset)
    units = [text.strip() for text in options["hidden_units"].split(",") if text.strip()]
    bad = [text for text in units if not text.isdecimal()]
    require(not bad, f"--hidden-units must be whole numbers separated by commas, got {options['hidden_units']!r}")
    of_numbers = options["noise"] is None or not dataset.class_names
    require(of_numbers, f"--noise must not be given where the target is a class, got {options['noise']!r}")
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
