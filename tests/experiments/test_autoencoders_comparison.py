"""Autoencoders side by side: their rows, what is kept of them, and how a run that was stopped goes on."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tf_keras

from variational_bnn.base import Network
from variational_bnn.datasets import Images
from variational_bnn.experiments import autoencoder_comparison as comparison
from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison, compare_autoencoders
from variational_bnn.experiments.autoencoders import MODELS, AutoencoderTraining
from variational_bnn.models.batches import shuffled_batches
from variational_bnn.models.builders.autoencoder_network import AutoencoderNetwork
from variational_bnn.models.builders.autoencoders import build_autoencoder, build_variational_autoencoder
from variational_bnn.models.builders.output import build_output_variation
from variational_bnn.models.likelihoods import Bernoulli, Categorical, MixtureNormal, Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.bounds import encode, measure_bounds
from variational_bnn.report.autoencoder_tables import failures, tables, verdicts

RNG = np.random.default_rng(0)
PATTERNS = np.kron(np.eye(3), np.ones((1, 6))).reshape(3, 6, 3)


def made(train: int = 40, test: int = 12, labels: tuple[int, ...] = (2, 5, 7)) -> Images:
    """A pattern a class, with a tenth of the pixels turned over."""

    def some(count: int) -> tuple[Any, Any]:
        kinds = np.arange(count) % len(labels)
        return np.abs(PATTERNS[kinds] - (RNG.random((count, 6, 3)) < 0.1)), np.array(labels)[kinds]

    (x_train, y_train), (x_test, y_test) = some(train), some(test)
    return Images(name="patterns", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


IMAGES = made()
NETWORK = AutoencoderNetwork(image_shape=(6, 3), encoder_units=(8,), decoder_units=(8,))
QUICK: dict[str, Any] = {
    "network": NETWORK,
    "training": AutoencoderTraining(epochs=3, batch_size=10),
    "num_samples": 4,
    "progress": False,
}
FIGURES = {"reconstructions", "latents", "loss", "predictive_sd", "predictive_sd_summary", "latent_grid"}
CLOCK = ["fit_seconds"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[AutoencoderComparison, Path]:
    out = tmp_path_factory.mktemp("ran") / "kept"
    return compare_autoencoders(IMAGES, directory=out, **QUICK), out


def _tree(directory: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


def test_each_model_has_a_row_with_the_terms_that_it_has(ran: Any) -> None:
    rows = ran[0].results.set_index("model")
    assert list(rows.index) == list(MODELS) == ["ae", "vae", "flipout-ae", "flipout-vae"]
    assert (rows["status"] == "ok").all()
    assert (rows["held_out"] == 7).all()
    has = {name: set(rows.index[rows[name].notna()]) for name in rows.columns}
    variational, uncertain = {"vae", "flipout-vae"}, {"flipout-ae", "flipout-vae"}
    assert has["kl_latents"] == has["negative_elbo"] == has["negative_importance_weighted"] == variational
    assert has["kl_weights"] == uncertain
    assert has["nll"] == has["rmse"] == has["silhouette"] == has["knn_accuracy"] == set(MODELS)
    terms = rows[["nll", "kl_latents", "kl_weights"]].sum(axis=1)
    np.testing.assert_allclose(rows["negative_elbo"].dropna(), terms[rows["negative_elbo"].notna()], rtol=1e-9)
    assert (rows["negative_importance_weighted"].dropna() < rows["negative_elbo"].dropna()).all()
    assert rows["importance_samples"].to_dict() == {"ae": 0, "vae": 50, "flipout-ae": 0, "flipout-vae": 50}


def test_only_what_draws_spreads(ran: Any) -> None:
    rows = ran[0].results.set_index("model")
    assert rows.loc["ae", ["predictive_sd_seen", "predictive_sd_held_out"]].tolist() == [0, 0]
    assert (rows.loc[["vae", "flipout-ae", "flipout-vae"], ["predictive_sd_seen", "predictive_sd_held_out"]] > 0).all(
        axis=None
    )


def test_the_row_is_what_a_fit_by_hand_measures() -> None:
    found = compare_autoencoders(IMAGES, models=["vae"], seeds=[3], **QUICK)
    model = build_variational_autoencoder(NETWORK, len(IMAGES.x_train), seed=3)
    model.compile(tf_keras.optimizers.Adam(1e-3), loss=negative_log_likelihood)
    batches = shuffled_batches((IMAGES.x_train, IMAGES.x_train), 10, 3)
    history = model.fit(batches, epochs=3, steps_per_epoch=4, verbose=0).history
    bounds, codes = measure_bounds(model, IMAGES.x_test, seed=3), encode(model, IMAGES.x_test, seed=3)
    (row,) = found.results.to_dict("records")
    arrays = found.arrays["vae", 3]
    np.testing.assert_allclose(arrays["history_nll"], history["nll"], rtol=1e-5)
    np.testing.assert_allclose(row["nll"], bounds.nll.mean(), rtol=1e-4)
    np.testing.assert_allclose(row["kl_latents"], bounds.kl_latents.mean(), rtol=1e-4)
    np.testing.assert_allclose(row["negative_importance_weighted"], -bounds.importance_weighted.mean(), rtol=1e-4)
    np.testing.assert_allclose(arrays["codes"], codes, rtol=1e-3, atol=1e-5)
    assert row["parameters"] == sum(v.shape.num_elements() for v in model.trainable_variables)


def test_the_second_fit_has_not_seen_the_class() -> None:
    few = {**QUICK, "training": AutoencoderTraining(epochs=150, batch_size=10, learning_rate=0.01)}
    (row,) = compare_autoencoders(IMAGES, models=["ae"], held_out=5, **few).results.to_dict("records")
    assert row["held_out"] == 5
    assert row["rmse_held_out"] > 1.5 * row["rmse_seen"]
    assert row["rmse"] < row["rmse_held_out"]


def test_what_is_kept_is_what_was_found(ran: Any) -> None:
    found, out = ran
    kept = AutoencoderComparison.read(out)
    pd.testing.assert_frame_equal(kept.results, found.results, check_exact=True)
    assert kept.settings == found.settings
    assert kept.arrays.keys() == found.arrays.keys() == {(model, 0) for model in MODELS}
    for cell, arrays in found.arrays.items():
        assert kept.arrays[cell].keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(kept.arrays[cell][name], array)
    assert {p.suffix for p in out.rglob("*") if p.is_file()} == {".json", ".npz", ".csv"}


def test_figures_are_drawn_and_saved_elsewhere_too(ran: Any, tmp_path: Path) -> None:
    found, out = ran
    paths = found.save(tmp_path / "elsewhere")
    assert {path.stem for path in paths} == set(found.plot()) == FIGURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert (tmp_path / "elsewhere" / "results.csv").read_bytes() == (out / "results.csv").read_bytes()
    assert [path.stem for path in AutoencoderComparison.read(tmp_path / "elsewhere").save(tmp_path / "elsewhere")]


def test_without_a_prior_there_is_no_grid(ran: Any) -> None:
    found = ran[0]
    plain = dataclasses.replace(found, results=found.results[found.results["model"].isin(["ae", "flipout-ae"])])
    assert set(plain.plot()) == FIGURES - {"latent_grid"}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(ran: Any) -> None:
    def rows(*seeds: int) -> pd.DataFrame:
        found = compare_autoencoders(IMAGES, models=["flipout-vae"], seeds=seeds, **QUICK).results
        return found.drop(columns=[*CLOCK, "seed"])

    tf_keras.utils.set_random_seed(5)  # Nobody else's seed matters.

    first = ran[0].results[ran[0].results["model"] == "flipout-vae"].reset_index(drop=True)
    found = rows(0, 1)
    pd.testing.assert_frame_equal(found[:1], first.drop(columns=[*CLOCK, "seed"]), check_exact=True)
    assert found.loc[0, "nll"] != found.loc[1, "nll"]


def test_finished_cells_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, runs = tmp_path / "out", list[tuple[str, int]]()
    run = comparison.run_autoencoder

    def counted(cell: Any, each_epoch: Callable[[], None]) -> Any:
        runs.append((cell.model, cell.seed))
        if len(runs) == 2:
            raise KeyboardInterrupt
        return run(cell, each_epoch)

    monkeypatch.setattr(comparison, "run_autoencoder", counted)
    with pytest.raises(KeyboardInterrupt):
        compare_autoencoders(IMAGES, models=["vae", "ae"], directory=out, **QUICK)
    assert AutoencoderComparison.read(out).results["model"].tolist() == ["vae"]
    (out / "arrays" / "ae-0.npz").write_bytes(b"half")  # What a kill between the two files of a cell leaves.
    found = compare_autoencoders(IMAGES, models=["ae", "vae"], directory=out, **QUICK)
    assert runs == [("vae", 0), ("ae", 0), ("ae", 0)]
    assert found.results["model"].tolist() == ["ae", "vae"], "the order that was asked for"
    assert found.arrays["ae", 0]["codes"].shape == (12, 2)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"num_samples": 5}, "num_samples"),
        ({"training": AutoencoderTraining(epochs=4, batch_size=10)}, "training"),
        ({"network": dataclasses.replace(NETWORK, latent_size=3)}, "network"),
        ({"held_out": 2}, "held_out"),
        ({"images": made()}, "images"),
    ],
)
def test_another_runs_directory_is_left_alone(ran: Any, other: dict[str, Any], message: str) -> None:
    before = _tree(ran[1])
    images = other.pop("images", IMAGES)
    with pytest.raises(ValueError, match=f"holds .*other settings.*{message}"):
        compare_autoencoders(images, directory=ran[1], **{**QUICK, **other})
    assert _tree(ran[1]) == before


def test_a_fit_that_diverges_is_a_row_that_says_so(tmp_path: Path) -> None:
    wild = {**QUICK, "network": dataclasses.replace(NETWORK, likelihood=Normal(scale=1e-3))}
    wild["training"] = AutoencoderTraining(epochs=2, batch_size=10, learning_rate=1e30)
    found = compare_autoencoders(IMAGES, models=["vae"], directory=tmp_path / "out", **wild)
    (row,) = found.results.to_dict("records")
    assert row["status"].startswith("diverged: the loss became ")
    assert math.isnan(row["nll"])
    assert math.isnan(row["predictive_sd_held_out"])
    assert found.plot() == {}
    assert found.save(tmp_path / "out") == []
    (verdict,) = verdicts(found.table, found.results)
    assert verdict.startswith("vae: no seed succeeded")
    assert "diverged" in " ".join(failures(found.results))
    assert tables(found.table, found.results, "patterns")


@pytest.mark.parametrize("likelihood", [Normal(scale="learned"), MixtureNormal(num_components=2)])
def test_other_likelihoods_of_grey_pixels(likelihood: Any) -> None:
    network = dataclasses.replace(NETWORK, likelihood=likelihood)
    grey = dataclasses.replace(IMAGES, x_train=IMAGES.x_train * 0.5 + 0.2, x_test=IMAGES.x_test * 0.5 + 0.2)
    (row,) = compare_autoencoders(grey, models=["flipout-vae"], **{**QUICK, "network": network}).results.itertuples()
    assert row.status == "ok"
    assert np.isfinite([row.negative_elbo, row.negative_importance_weighted, row.predictive_sd_held_out]).all()


@pytest.mark.parametrize("latent_size", [1, 5])
def test_any_number_of_latents(latent_size: int) -> None:
    network = dataclasses.replace(NETWORK, latent_size=latent_size)
    found = compare_autoencoders(IMAGES, models=["ae", "vae"], **{**QUICK, "network": network})
    assert found.arrays["vae", 0]["codes"].shape == (12, latent_size)
    assert set(found.plot()) == FIGURES


def test_two_classes_and_a_class_without_test_images() -> None:
    two = made(labels=(0, 1))
    found = compare_autoencoders(two, models=["vae"], **QUICK)
    assert found.results.loc[0, "status"] == "ok"
    assert set(found.plot()) == FIGURES
    kept = two.y_test == 0
    one = dataclasses.replace(two, x_test=two.x_test[kept], y_test=two.y_test[kept])
    found = compare_autoencoders(one, models=["ae"], held_out=np.int64(1), **QUICK)
    (row,) = found.results.itertuples()
    assert row.status == "ok"
    assert found.table["confused"].tolist() == [""]
    assert tables(found.table, found.results, "one class")
    assert np.isfinite(row.rmse_held_out), "of training images, which the second fit has not seen"
    assert math.isnan(row.silhouette), "one class is not apart from others"


def test_a_class_without_training_images_is_neither_seen_nor_held_out() -> None:
    labels = np.where(IMAGES.y_test == 7, 9, IMAGES.y_test)
    images = dataclasses.replace(IMAGES, y_test=labels)
    found = compare_autoencoders(images, models=["ae"], **QUICK)
    (row,) = found.results.itertuples()
    assert row.held_out == 7, "the last one that there is to train on"
    np.testing.assert_array_equal(found.images["apart_labels"], [2, 5, 7, 7, 7, 7])
    np.testing.assert_array_equal(found.images["apart_seen"], [True, True, False, False, False, False])
    with pytest.raises(ValueError, match="no training image has label 9; known: 2, 5, 7"):
        compare_autoencoders(images, held_out=9, **QUICK)


def test_what_never_spreads_has_no_figure_of_it(ran: Any) -> None:
    plain = dataclasses.replace(ran[0], results=ran[0].results[ran[0].results["model"] == "ae"])
    assert set(plain.plot()) == FIGURES - {"latent_grid", "predictive_sd_summary"}


def test_the_ratio_of_spreads_is_that_of_the_seeds() -> None:
    found = compare_autoencoders(IMAGES, models=["flipout-ae", "vae"], seeds=[0, 1, 2], **QUICK)
    first = found.table.set_index("model").loc["flipout-ae"]
    ratios = (found.results["predictive_sd_held_out"] / found.results["predictive_sd_seen"])[:3]
    assert first["predictive_sd_ratio"] == pytest.approx(np.exp(np.log(ratios).mean()))
    assert first["predictive_sd_ratio_low"] < ratios.min() < ratios.max() < first["predictive_sd_ratio_high"]
    assert first["confused"] == "; ".join(dict.fromkeys(found.results["confused"][:3]))
    of_weights, of_latents = verdicts(found.table, found.results)
    interval = rf"{first['predictive_sd_ratio']:.3g} \[{first['predictive_sd_ratio_low']:.3g}, {first['predictive_sd_ratio_high']:.3g}\]"
    assert re.fullmatch(f"flipout-ae: its reconstructions of class 7, not seen, spread {interval} times .*", of_weights)
    assert of_latents.endswith("; noise of its units, not uncertainty about parameters")


def test_few_images_are_trained_on_for_as_many_steps() -> None:
    assert AutoencoderTraining.for_images(60_000) == AutoencoderTraining(epochs=15, batch_size=100)
    few = AutoencoderTraining.for_images(1437)
    assert few.batch_size == 100
    assert abs(few.epochs * 1437 / 100 - 3000) < 15


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no images": (
        lambda: compare_autoencoders(IMAGES.x_train),  # type: ignore[arg-type]
        TypeError,
        "images must be Images, got ndarray",
    ),
    "models": (lambda: compare_autoencoders(IMAGES, models="vae"), ValueError, "models must be a sequence, got 'vae'"),
    "model": (
        lambda: compare_autoencoders(IMAGES, models=["gan"]),
        ValueError,
        "unknown model 'gan'; known: ae, vae, flipout-ae, flipout-vae",
    ),
    "no model": (lambda: compare_autoencoders(IMAGES, models=[]), ValueError, "at least one model and one seed"),
    "seed": (lambda: compare_autoencoders(IMAGES, seeds=[-1]), ValueError, "seed must be"),
    "latents": (
        lambda: compare_autoencoders(IMAGES, latent_size=0),
        ValueError,
        "latent_size must be a whole number >= 1, got 0",
    ),
    "label": (lambda: compare_autoencoders(IMAGES, held_out=3), ValueError, "unknown label 3; known: 2, 5, 7"),
    "samples": (
        lambda: compare_autoencoders(IMAGES, num_samples=1),
        ValueError,
        "num_samples must be at least 2 for a variance, got 1",
    ),
    "epochs": (lambda: AutoencoderTraining(epochs=0), ValueError, "epochs must be a whole number >= 1, got 0"),
    "rate": (lambda: AutoencoderTraining(learning_rate=0.0), ValueError, "learning_rate must be > 0, got 0.0"),
    "a network of other images": (
        lambda: compare_autoencoders(IMAGES, network=AutoencoderNetwork(image_shape=(8, 8))),
        ValueError,
        "network must have image_shape (6, 3) for the images, got (8, 8)",
    ),
    "image shape": (
        lambda: AutoencoderNetwork(image_shape=64),  # type: ignore[arg-type]
        ValueError,
        "image_shape must be a tuple of whole numbers, got 64",
    ),
    "no image shape": (lambda: AutoencoderNetwork(image_shape=()), ValueError, "image_shape must have at least one"),
    "two numbers of latents": (
        lambda: compare_autoencoders(IMAGES, network=NETWORK, latent_size=3),
        ValueError,
        "latent_size is the network's own where one is given, got both",
    ),
    "units": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), decoder_units=(0,)),
        ValueError,
        "decoder_units must be a whole number >= 1, got 0",
    ),
    "empty images": (
        lambda: AutoencoderNetwork(image_shape=(0, 3)),
        ValueError,
        "image_shape must be a whole number >= 1, got 0",
    ),
    "activation": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), activation="step"),
        ValueError,
        "unknown activation 'step'",
    ),
    "prior": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), prior_scale=0.0),
        ValueError,
        "prior_scale must be > 0, got 0.0",
    ),
    "switch": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), scale_prior_by_fan_in="no"),  # type: ignore[arg-type]
        ValueError,
        "scale_prior_by_fan_in must be True or False, got 'no'",
    ),
    "a class as pixels": (
        lambda: AutoencoderNetwork(image_shape=(1,), likelihood=Categorical(num_classes=3)),
        ValueError,
        "likelihood must be of pixels, such as Bernoulli(), got Categorical(num_classes=3)",
    ),
    "no KL weight": (
        lambda: build_variational_autoencoder(NETWORK, 40, kl_weight=None),  # type: ignore[arg-type]
        ValueError,
        "kl_weight must be >= 0, got None",
    ),
    "KL weight of a plain one": (
        lambda: build_autoencoder(NETWORK, 40, kl_weight=-1),
        ValueError,
        "kl_weight must be >= 0, got -1",
    ),
    "scale of point weights": (
        lambda: build_autoencoder(NETWORK, 40, initial_scale=-1),
        ValueError,
        "initial_scale must be > 0, got -1",
    ),
    "weights": (
        lambda: build_autoencoder(NETWORK, 40, weights="mcmc"),
        ValueError,
        "unknown kind of weights 'mcmc'; known: point, ",
    ),
    "a network of tables": (
        lambda: build_autoencoder(Network(input_shape=(6,), output_size=6, likelihood=Bernoulli()), 40),  # type: ignore[arg-type]
        TypeError,
        "network must be an AutoencoderNetwork, got Network",
    ),
    "a likelihood by name": (
        lambda: AutoencoderNetwork(image_shape=(6, 3), likelihood="bernoulli"),  # type: ignore[arg-type]
        TypeError,
        "likelihood must be a Likelihood such as Normal(), got 'bernoulli'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case: str) -> None:
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=re.escape(message)) as refused:
        call()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (IMAGES.x_test[..., None], "x must have shape [N, 6, 3], got [12, 6, 3, 1]"),
        (IMAGES.x_test[0], "x must have shape [N, 6, 3], got [6, 3]"),
        (IMAGES.x_test[:0], "x must have shape [N, 6, 3], got [0, 6, 3]"),
        (IMAGES.x_test * 255, "Bernoulli"),
        (IMAGES.x_test - 0.5, "Bernoulli"),
        (np.where(IMAGES.x_test > 0, np.nan, 0), "x must be finite"),
    ],
)
def test_images_that_a_model_cannot_measure(x: Any, message: str) -> None:
    model = build_variational_autoencoder(NETWORK, 40, seed=0)
    for measure in (measure_bounds, encode):
        with pytest.raises(ValueError, match=re.escape(message)):
            measure(model, x)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (IMAGES.x_train * 255, IMAGES.x_train * 255, "y must be in [0, 1] for Bernoulli, got 255.0"),
        (IMAGES.x_train, tf.constant(IMAGES.x_train * 255), "y must be in [0, 1] for Bernoulli, got 255.0"),
        (IMAGES.x_train * np.nan, IMAGES.x_train, "x must be finite, got nan"),
        (tf.constant(IMAGES.x_train * np.nan), IMAGES.x_train, "x must be finite, got nan"),
        (IMAGES.x_train[:, :5], IMAGES.x_train, "x must have shape [N, 6, 3], got [40, 5, 3]"),
        (IMAGES.x_train.reshape(40, 18), IMAGES.x_train, "x must have shape [N, 6, 3], got [40, 18]"),
        (IMAGES.x_train, IMAGES.x_train.astype(str), "y must hold numbers, got <U"),
    ],
)
def test_images_that_fit_refuses_before_it_trains(x: Any, y: Any, message: str) -> None:
    model = build_variational_autoencoder(NETWORK, 40, seed=0)
    model.compile("adam", loss=negative_log_likelihood)
    before = model.get_weights()
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        model.fit(x, y, verbose=0)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(IMAGES.x_train, IMAGES.x_train, validation_data=(x, y), verbose=0)
    for own, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, other)


def test_what_is_no_autoencoder_is_refused() -> None:
    head = build_output_variation(Network(input_shape=(6, 3), output_size=18, likelihood=Bernoulli()), 40, seed=0)
    for measure in (measure_bounds, encode):
        with pytest.raises(ValueError, match="model must be an autoencoder of variational_bnn, got"):
            measure(head, IMAGES.x_test)


def _spoilt(out: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (out / name).write_bytes(change((out / name).read_bytes()))


@pytest.mark.parametrize("name", ["settings.json", "images.npz", "results.csv", "arrays/vae-0.npz"])
def test_a_damaged_directory_is_refused_in_one_line(ran: Any, name: str, tmp_path: Path) -> None:
    for number, change in enumerate((lambda old: old[: len(old) // 2], lambda old: b"")):
        out = tmp_path / str(number)
        shutil.copytree(ran[1], out)
        _spoilt(out, name, change)
        with pytest.raises(ValueError, match=re.escape(Path(name).name)) as refused:
            AutoencoderComparison.read(out)
        assert "\n" not in str(refused.value)


def test_a_foreign_directory_is_refused_in_one_line(ran: Any, tmp_path: Path) -> None:
    def without(name: str, key: str) -> Callable[[Path], None]:
        def change(out: Path) -> None:
            with np.load(out / name) as stored:
                kept = {own: stored[own] for own in stored.files if own != key}
            np.savez(out / name, **kept)

        return change

    def settings(**values: Any) -> Callable[[Path], None]:
        return lambda out: (out / "settings.json").write_text(json.dumps(values)) and None

    changes: dict[str, Callable[[Path], None]] = {
        "its settings do not describe the images": settings(kind="autoencoders"),
        "its settings are not of autoencoders": settings(kind="methods"),
        "images.npz is foreign: it lacks apart": without("images.npz", "apart"),
        "vae-0.npz is foreign: it lacks codes": without("arrays/vae-0.npz", "codes"),
        "vae-0.npz is foreign: it lacks history_nll": without("arrays/vae-0.npz", "history_nll"),
    }
    for number, (message, change) in enumerate(changes.items()):
        out = tmp_path / str(number)
        shutil.copytree(ran[1], out)
        change(out)
        with pytest.raises(ValueError, match=re.escape(message)) as refused:
            AutoencoderComparison.read(out)
        assert "\n" not in str(refused.value)


def test_pickled_arrays_are_never_opened(ran: Any, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "run",))

    shutil.copytree(ran[1], tmp_path / "out")
    np.savez(tmp_path / "out" / "arrays" / "vae-0.npz", codes=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match=r"vae-0\.npz"):
        AutoencoderComparison.read(tmp_path / "out")
    assert not (tmp_path / "run").exists()


def test_a_comparison_of_methods_is_no_such_directory(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"dataset": {}}))
    with pytest.raises(ValueError, match="is foreign: its settings are not of autoencoders"):
        AutoencoderComparison.read(tmp_path)
