"""Classes, from a table to its rows: what is measured is what NumPy makes of the function samples' probabilities."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from quick_methods import Noting

from variational_bnn.base import BEYOND, REGIONS, TAU, Dataset, Network, require_compatible
from variational_bnn.cli import commands
from variational_bnn.datasets import lecture, load, read_csv
from variational_bnn.evaluation.split import split
from variational_bnn.experiments.compare import compare, default_network
from variational_bnn.experiments.comparison import Comparison
from variational_bnn.methods.output import OutputVariation
from variational_bnn.methods.weights import Flipout
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal

NAMES = ("ash", "birch", "oak")
QUIET: dict[str, Any] = {"num_samples": 40, "progress": False}
METHODS = {"output": OutputVariation(steps=300), "flipout": Flipout(steps=300)}
SHORT = {"flipout": Flipout(steps=20)}
CLOCKS = ["fit_seconds", "predict_seconds", "peak_memory"]


def _rows(seed: int = 0, count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Two features, and the number of a class, of which the first feature nearly tells."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2))
    return x, np.digitize(x[:, 0] + 0.2 * x[:, 1] + 0.2 * rng.normal(size=count), [-0.6, 0.6])


def _dataset(**fields: Any) -> Dataset:
    x, y = _rows()
    return Dataset(**{"name": "trees", "x": x, "y": y, "class_names": NAMES, "target_names": ("tree",), **fields})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV file whose target, in the middle, is text."""
    x, y = _rows()
    path = tmp_path / "trees.csv"
    pd.DataFrame({"a": x[:, 0], "tree": np.array(NAMES)[y], "b": x[:, 1]}).to_csv(path, index=False)
    return path


def test_the_network_must_have_a_likelihood_of_the_datasets_targets() -> None:
    trees = _dataset()
    assert default_network(trees).likelihood == Categorical(num_classes=3)
    for dataset, likelihood, message in (
        (trees, Normal(), r"must have a Categorical likelihood of the dataset's 3 classes, got Normal\("),
        (trees, Categorical(num_classes=4), r"of the dataset's 3 classes, got Categorical\(num_classes=4\)"),
        (lecture(), Categorical(num_classes=3), r"must have a likelihood of numbers, got Categorical\(num_classes=3\)"),
        (lecture(), Bernoulli(), r"y must be in \[0, 1\] for Bernoulli, got "),
    ):
        network = dataclasses.replace(default_network(dataset), likelihood=likelihood)
        with pytest.raises(ValueError, match=message):
            compare(dataset, network=network, **QUIET)
    held_out = {"x_test": np.zeros((1, 2)), "y_test": [[2.0]], "test_regions": ["near"]}
    yes_or_no = Dataset(name="d", x=_rows()[0], y=_rows()[1] > 0, **held_out)
    with pytest.raises(ValueError, match=r"y must be in \[0, 1\] for Bernoulli, got 2"):
        require_compatible(dataclasses.replace(default_network(yes_or_no), likelihood=Bernoulli()), yes_or_no)


def test_methods_that_do_not_support_a_likelihood_say_so_before_any_fit(tmp_path: Path) -> None:
    mixture = dataclasses.replace(default_network(lecture()), likelihood=MixtureNormal(num_components=2))
    for dataset, method, network, needed in (
        (_dataset(), "linear", None, "it needs a Normal likelihood, got"),
        (lecture(), "linear", mixture, "it needs a Normal likelihood, got"),
        (lecture(), "laplace", mixture, "mixture"),
    ):
        noting = Noting()
        with pytest.raises(ValueError, match=f"method '{method}' does not support this: .*{needed}"):
            compare(dataset, methods={"n": noting, method: method}, network=network, directory=tmp_path / "o", **QUIET)
        assert noting.seeds == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def held_out() -> Dataset:
    return split(_dataset(feature_names=("a", "b")), gap="b", tail="a", seed=0)


@pytest.fixture(scope="module")
def compared(held_out: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    place = tmp_path_factory.mktemp("trees")
    return compare(held_out, methods=METHODS, seeds=[1], directory=place, **QUIET), place


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(axis=-1)


def test_the_rows_are_what_numpy_makes_of_the_draws(compared: tuple[Comparison, Path], held_out: Dataset) -> None:
    comparison, _ = compared
    posterior = METHODS["flipout"].fit(held_out, default_network(held_out), 1)
    rows = comparison.results[comparison.results["method"] == "flipout"].set_index("region")

    def draws(x: np.ndarray) -> np.ndarray:
        return posterior.sample_functions(x, num_samples=40, seed=1).astype(np.float64)

    assert set(rows.index) == set(REGIONS)
    for region, row in rows.iterrows():
        inside = np.flatnonzero(held_out.test_regions == region)
        y, p = held_out.y_test[inside, 0].astype(int), draws(held_out.x_test[inside])
        mean, right = p.mean(axis=0), np.eye(3)[y]
        expected = {
            "accuracy": (mean.argmax(axis=1) == y).mean(),
            "rmse": np.sqrt(((mean - right) ** 2).sum(axis=1).mean() / 3),
            "log_likelihood": np.log(mean[np.arange(len(y)), y]).mean(),
            "entropy": _entropy(mean).mean(),
            "mutual_information": (_entropy(mean) - _entropy(p).mean(axis=0)).mean(),
            "epistemic_variance": p.var(axis=0).mean(),
            "aleatoric_variance": (p * (1 - p)).mean(),
        }
        if len(y) >= TAU:
            groups = np.random.default_rng(0).permutation(inside)[: len(y) // TAU * TAU].reshape(-1, TAU)
            whole = held_out.y_test[groups, 0].astype(int)
            each = [draws(held_out.x_test[g])[:, np.arange(TAU), k] for g, k in zip(groups, whole, strict=True)]
            expected["joint_log_likelihood"] = np.log(np.prod(each, axis=2).mean(axis=1)).mean() / TAU
        assert row[list(expected)].to_dict() == pytest.approx(expected, rel=1e-3, abs=1e-6)
        of_numbers = ["crps", *(name for name in rows if name.startswith(("coverage", "width")))]
        assert row[of_numbers].isna().all()
        mean, right = draws(held_out.x).mean(axis=0), np.eye(3)[held_out.y[:, 0].astype(int)]
        assert row["train_accuracy"] == (mean.argmax(axis=1) == held_out.y[:, 0]).mean()
        assert row["train_rmse"] == pytest.approx(np.sqrt(((mean - right) ** 2).mean()))


def test_mutual_information_is_of_methods_whose_draws_differ(compared: tuple[Comparison, Path]) -> None:
    comparison = compared[0].results.set_index(["method", "region"])
    assert (comparison.loc["output", "mutual_information"] == 0).all()
    assert (comparison.loc["output", "entropy"] > 0).all()
    assert comparison.loc[("flipout", BEYOND), "mutual_information"] > 0.01
    assert (comparison["train_accuracy"] > 0.7).all()
    assert np.isnan(Comparison.read(compared[1]).results["crps"]).all()


def test_rows_and_files_have_a_column_of_zeros_and_ones_for_each_class(
    compared: tuple[Comparison, Path], held_out: Dataset
) -> None:
    comparison, place = compared
    outputs = [f"tree={name}" for name in NAMES]
    assert list(comparison.data) == ["a", "b", *outputs]
    np.testing.assert_array_equal(comparison.data[outputs], np.eye(3)[held_out.y[:, 0].astype(int)])
    assert json.loads((place / "settings.json").read_text())["dataset"]["class_names"] == list(NAMES)
    for number, (output, rows) in enumerate(comparison.predictions.groupby("output", sort=False)):
        assert output == outputs[number]
        for _, own in rows.groupby("method"):
            np.testing.assert_array_equal(own["y"], held_out.y_test[:, 0] == number)
    assert comparison.predictions["pit"].isna().all()
    totals = comparison.predictions.groupby(["method", "query_point"])["mean"].sum()
    np.testing.assert_allclose(totals, 1, atol=1e-5)
    assert comparison.draws["trees", "flipout", 1]["functions"].shape == (40, len(held_out.x_test), 3)


def test_a_run_goes_on_and_other_classes_are_another_run(compared: tuple[Comparison, Path], held_out: Dataset) -> None:
    comparison, place = compared
    again = compare(held_out, methods=METHODS, seeds=[1], directory=place, **QUIET)
    pd.testing.assert_frame_equal(
        comparison.results, again.results, check_exact=True
    )  # Its clocks, too: not run again.
    renamed = dataclasses.replace(held_out, class_names=("ash", "birch", "elm"))
    with pytest.raises(ValueError, match=r"dataset\.class_names is"):
        compare(renamed, methods=METHODS, seeds=[1], directory=place, **QUIET)


def test_text_and_numbers_that_are_said_to_be_classes_are_the_same(table: Path, tmp_path: Path) -> None:
    text = read_csv(table, "tree")
    numbered = tmp_path / "numbers.csv"
    frame = pd.read_csv(table)
    frame.assign(tree=frame["tree"].map({"ash": 7, "birch": 8, "oak": 12})).to_csv(numbered, index=False)
    numbers = load(str(numbered), "tree", classes=True)
    assert (text.class_names, numbers.class_names) == (NAMES, ("7", "8", "12"))
    rows = [compare(each, methods=SHORT, seeds=[0], **QUIET).results for each in (text, numbers)]
    pd.testing.assert_frame_equal(*(table.drop(columns=[*CLOCKS, "dataset"]) for table in rows), check_exact=True)


def test_entropies_have_a_figure_and_quantiles_of_classes_have_none(compared: tuple[Comparison, Path]) -> None:
    assert set(compared[0].plot()) == {"regions", "distance", "entropy"}


def test_the_command_prints_the_measures_of_classes(table: Path, tmp_path: Path) -> None:
    options = ["--data", table, "--target", "tree", "--tail", "a", "--methods", "output,flipout", "--set", "*.steps=20"]
    arguments = ["compare", *options, "--seeds", "2", "--samples", "10", "--out", tmp_path / "out"]
    done = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    words = " ".join(done.stdout.split())
    assert "Sd over draws of the probabilities on trees, 122 training rows of 3 classes, 2 seeds" in words
    assert "Classes: mutual information of y and the draw, in nats train method near between beyond entropy" in words
    assert words.startswith("Held-out rows of trees, 122 training rows of 3 classes, 2 seeds")
    assert "log-lik. [ ] accuracy [ ] certain" in words
    assert re.search(r"class frequencies near -1\.\d+ 0\.\d+ \d\d %", words)
    assert re.search(r"- flipout: .*log-likelihood (above|below) that of class frequencies", words)
    assert (tmp_path / "out" / "entropy.png").exists()
    for word in ("CRPS", "units of y", "4 x data"):
        assert word not in words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--noise", "learned"], "--noise must not be given where the target is a class, got 'learned'"),
        (
            ["--methods", "linear"],
            "method 'linear' does not support this: it needs a Normal likelihood, got Categorical(num_classes=3)",
        ),
        (
            ["--target", "a", "--classes", "--encode"],
            "target 'a' must have at most half as many classes as rows, got 150 classes",
        ),
        (["--data", "lecture", "--classes"], "dataset 'lecture' has its own target, got 'tree'"),
    ],
)
def test_the_command_says_in_one_line_what_it_does_not_support(options: list[str], message: str, table: Path) -> None:
    out = table.parent / "out"
    arguments = ["compare", "--data", str(table), "--target", "tree", *options, "--out", str(out)]
    done = CliRunner().invoke(commands, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert message in line
    assert not out.exists()


def test_named_datasets_know_by_themselves_whether_they_have_classes() -> None:
    done = CliRunner().invoke(commands, ["compare", "--classes"])
    message = "Error: dataset 'lecture' knows by itself whether its target is a class\n"
    assert (done.exit_code, done.stderr) == (2, message)


def test_a_network_of_bernoullis_has_a_probability_for_each_column() -> None:
    x, y = _rows()
    columns = np.column_stack([y > 0, y > 1]).astype(float)
    dataset = split(Dataset(name="d", x=x, y=columns, feature_names=("a", "b")), tail="a", seed=0)
    network = Network(input_shape=(2,), output_size=2, likelihood=Bernoulli())
    comparison = compare(dataset, methods=SHORT, seeds=[0], network=network, **QUIET)
    assert list(comparison.predictions["output"].unique()) == ["y0", "y1"]
    means = comparison.predictions.pivot(index="query_point", columns="output", values="mean").to_numpy()
    for _, row in comparison.results.iterrows():
        inside = dataset.test_regions == row["region"]
        p, right = means[inside], dataset.y_test[inside]
        assert row["accuracy"] == ((p > 0.5) == right).mean()
        assert row["entropy"] == pytest.approx(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean(), rel=1e-4)
        assert row["rmse"] == pytest.approx(np.sqrt(((p - right) ** 2).mean()))
        assert 0 < row["mutual_information"] < row["entropy"]
        assert np.isnan(row["crps"])
