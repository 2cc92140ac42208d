"""Autoencoders side by side: their rows, what is kept of them, and how a comparison that was stopped goes on."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tf_keras
from patterns import NETWORK, patterns

from variational_bnn.experiments.autoencoder_comparison import AutoencoderComparison
from variational_bnn.experiments.autoencoder_result import AUTOENCODER_COLUMNS
from variational_bnn.experiments.compare_autoencoders import compare_autoencoders
from variational_bnn.experiments.run import Outcome
from variational_bnn.experiments.store import Store
from variational_bnn.methods.autoencoders import AUTOENCODERS, Autoencoder
from variational_bnn.models.batches import ShuffledBatches
from variational_bnn.models.builders.autoencoders import build_variational_autoencoder
from variational_bnn.models.likelihoods import MixtureNormal, Normal
from variational_bnn.models.losses import negative_log_likelihood
from variational_bnn.prediction.bounds import encode, measure_bounds
from variational_bnn.report.autoencoder_tables import failures, tables, verdicts

IMAGES = patterns()
QUIET: dict[str, Any] = {"network": NETWORK, "num_samples": 4, "progress": False}
QUICK = {name: dataclasses.replace(model, epochs=2, batch_size=10) for name, model in AUTOENCODERS.items()}
AE, VAE = {"ae": QUICK["ae"]}, {"vae": QUICK["vae"]}
FIGURES = {"reconstructions", "latents", "loss", "predictive_sd", "predictive_sd_by_class", "latent_grid"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[AutoencoderComparison, Path]:
    out = tmp_path_factory.mktemp("ran") / "kept"
    return compare_autoencoders(IMAGES, models=QUICK, directory=out, **QUIET), out


def _files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _only(comparison: AutoencoderComparison, *models: str) -> AutoencoderComparison:
    outcomes = {key: outcome for key, outcome in comparison.outcomes.items() if key[0] in models}
    return dataclasses.replace(comparison, outcomes=outcomes)


def test_each_model_has_a_row_with_the_terms_that_it_has(ran: Any) -> None:
    rows = ran[0].results.set_index("model")
    assert list(rows.index) == list(AUTOENCODERS) == ["ae", "vae", "flipout-ae", "flipout-vae"]
    assert (rows["status"] == "ok").all()
    assert (rows["held_out"] == 7).all()
    has = {name: set(rows.index[rows[name].notna()]) for name in rows.columns}
    variational, uncertain = {"vae", "flipout-vae"}, {"flipout-ae", "flipout-vae"}
    assert has["kl_latents"] == has["negative_elbo"] == has["negative_importance_weighted"] == variational
    assert has["kl_weights"] == uncertain
    assert has["nll"] == has["rmse"] == has["silhouette"] == has["knn_accuracy"] == set(AUTOENCODERS)
    terms = rows[["nll", "kl_latents", "kl_weights"]].sum(axis=1)
    np.testing.assert_allclose(rows["negative_elbo"].dropna(), terms[rows["negative_elbo"].notna()], rtol=1e-9)
    assert (rows["negative_importance_weighted"].dropna() < rows["negative_elbo"].dropna()).all()
    assert rows["importance_samples"].to_dict() == {"ae": 0, "vae": 50, "flipout-ae": 0, "flipout-vae": 50}


def test_reconstructions_differ_where_something_is_drawn(ran: Any) -> None:
    sds = ran[0].results.set_index("model")[["predictive_sd_seen", "predictive_sd_held_out"]]
    assert (sds.loc["ae"] == 0).all()
    assert (sds.drop(index="ae") > 0).all(axis=None)


def test_the_row_is_what_a_fit_by_hand_measures_and_comes_again_from_the_same_seed() -> None:
    tf_keras.utils.set_random_seed(5)  # The global seed must not matter.
    comparison = compare_autoencoders(IMAGES, models=VAE, seeds=[3, 0], **QUIET)
    model = build_variational_autoencoder(NETWORK, len(IMAGES.x_train), seed=3)
    model.compile(tf_keras.optimizers.Adam(1e-3), loss=negative_log_likelihood)
    batches = ShuffledBatches((IMAGES.x_train, IMAGES.x_train), 10, 3)
    history = model.fit(batches, epochs=2, steps_per_epoch=4, verbose=0).history
    bounds, codes = measure_bounds(model, IMAGES.x_test, seed=3), encode(model, IMAGES.x_test, seed=3)
    row, other = comparison.results.to_dict("records")
    arrays = comparison.arrays["vae", 3]
    np.testing.assert_allclose(arrays["history_nll"], history["nll"], rtol=1e-5)
    np.testing.assert_allclose(row["nll"], bounds.nll.mean(), rtol=1e-4)
    np.testing.assert_allclose(row["kl_latents"], bounds.kl_latents.mean(), rtol=1e-4)
    np.testing.assert_allclose(row["negative_importance_weighted"], -bounds.importance_weighted.mean(), rtol=1e-4)
    np.testing.assert_allclose(arrays["codes"], codes, rtol=1e-3, atol=1e-5)
    apart = ((codes[:, None] - encode(model, IMAGES.x_train, seed=3)[None]) ** 2).sum(-1)
    votes = [np.bincount(IMAGES.y_train[nearest[:10]]).argmax() for nearest in apart.argsort(axis=1)]
    assert row["knn_accuracy"] == pytest.approx(np.mean(votes == IMAGES.y_test))  # Among the training codes.
    assert row["parameters"] == sum(v.shape.num_elements() for v in model.trainable_variables)
    assert other["nll"] != row["nll"]


def test_the_same_seed_gives_the_same_row_beside_other_models(ran: Any) -> None:
    rows = compare_autoencoders(IMAGES, models={"mine": QUICK["flipout-vae"]}, **QUIET).results
    first = ran[0].results[ran[0].results["model"] == "flipout-vae"].reset_index(drop=True)
    columns = ["fit_seconds", "model"]
    pd.testing.assert_frame_equal(rows.drop(columns=columns), first.drop(columns=columns), check_exact=True)


def test_the_second_fit_has_not_seen_the_class() -> None:
    models = {"ae": Autoencoder(epochs=120, batch_size=10, learning_rate=0.01)}
    (row,) = compare_autoencoders(IMAGES, models=models, held_out=5, **QUIET).results.to_dict("records")
    assert row["held_out"] == 5
    assert row["rmse_held_out"] > 1.5 * row["rmse_seen"]
    assert row["rmse"] < row["rmse_held_out"]


def test_what_is_kept_is_read_back(ran: Any) -> None:
    comparison, out = ran
    kept = AutoencoderComparison.read(out)
    pd.testing.assert_frame_equal(kept.results, comparison.results, check_exact=True)
    assert kept.settings == kept.settings | json.loads(json.dumps(comparison.settings))
    assert kept.arrays.keys() == comparison.arrays.keys() == {(model, 0) for model in AUTOENCODERS}
    for run, arrays in comparison.arrays.items():
        assert kept.arrays[run].keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(kept.arrays[run][name], array)
    for name, array in comparison.images.items():
        np.testing.assert_array_equal(kept.images[name], array)


def test_figures_are_drawn_and_saved_elsewhere_too(ran: Any, tmp_path: Path) -> None:
    comparison, out = ran
    paths = comparison.save(tmp_path / "elsewhere")
    assert {path.stem for path in paths} == FIGURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert (tmp_path / "elsewhere" / "results.csv").read_bytes() == (out / "results.csv").read_bytes()
    plain = _only(AutoencoderComparison.read(tmp_path / "elsewhere"), "ae")
    assert set(plain.plot()) == FIGURES - {"latent_grid", "predictive_sd_by_class"}


def test_finished_runs_are_not_executed_again_and_further_models_are_added(ran: Any, tmp_path: Path) -> None:
    first = _only(ran[0], "ae", "vae")
    first.save(tmp_path / "out")
    models = {"vae": QUICK["vae"], "ae2": QUICK["ae"], "ae": QUICK["ae"]}
    again = compare_autoencoders(IMAGES, models=models, directory=tmp_path / "out", **QUIET).results
    assert again["model"].tolist() == ["vae", "ae2", "ae"]
    clocks = {
        table: dict(zip(rows["model"], rows["fit_seconds"], strict=True))
        for table, rows in (("first", first.results), ("again", again))
    }
    assert [clocks["again"][name] for name in ("ae", "vae")] == [clocks["first"][name] for name in ("ae", "vae")]
    assert clocks["again"]["ae2"] != clocks["first"]["ae"]
    assert AutoencoderComparison.read(tmp_path / "out").settings["methods"]["ae2"]["epochs"] == 2


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"num_samples": 5}, "num_samples is 4 there, 5 here"),
        ({"models": {"ae": Autoencoder(epochs=3, batch_size=10)}}, r"methods\.ae\.epochs is 2 there, 3 here"),
        ({"network": dataclasses.replace(NETWORK, latent_size=3)}, r"network\.latent_size is 2 there, 3 here"),
        ({"held_out": 2}, "held_out is 7 there, 2 here"),
        ({"images": patterns(seed=1)}, r"images\.digest is .* there"),
    ],
)
def test_the_directory_of_other_settings_is_left_alone(ran: Any, other: dict[str, Any], message: str) -> None:
    before = _files(ran[1])
    settings = {"images": IMAGES, "models": QUICK, **QUIET, **other}
    with pytest.raises(ValueError, match=f"holds other settings: {message}") as caught:
        compare_autoencoders(settings.pop("images"), directory=ran[1], **settings)
    assert "\n" not in str(caught.value)
    assert _files(ran[1]) == before


def test_a_fit_that_diverges_is_a_row_that_says_so(tmp_path: Path) -> None:
    network = dataclasses.replace(NETWORK, likelihood=Normal(scale=1e-3))
    models = {"vae": Autoencoder(variational=True, epochs=2, batch_size=10, learning_rate=1e30)}
    comparison = compare_autoencoders(IMAGES, models=models, directory=tmp_path, **{**QUIET, "network": network})
    (row,) = comparison.results.to_dict("records")
    assert row["status"].startswith("diverged: the loss became ")
    assert math.isnan(row["nll"])
    assert math.isnan(row["predictive_sd_held_out"])
    assert comparison.plot() == {}
    assert comparison.save(tmp_path) == []
    assert AutoencoderComparison.read(tmp_path).results["status"].tolist() == [row["status"]]
    (verdict,) = verdicts(comparison.table, comparison.results)
    assert verdict.startswith("vae: no seed succeeded")
    assert "diverged" in " ".join(failures(comparison.results))
    assert tables(comparison.table, comparison.results, "patterns")


@pytest.mark.parametrize("likelihood", [Normal(scale="learned"), MixtureNormal(num_components=2)])
def test_other_likelihoods_and_numbers_of_latents_of_grey_pixels(likelihood: Any) -> None:
    size = 1 if isinstance(likelihood, Normal) else 5
    network = dataclasses.replace(NETWORK, likelihood=likelihood, latent_size=size)
    grey = dataclasses.replace(IMAGES, x_train=IMAGES.x_train * 0.5 + 0.2, x_test=IMAGES.x_test * 0.5 + 0.2)
    comparison = compare_autoencoders(grey, models=VAE, **{**QUIET, "network": network})
    (row,) = comparison.results.itertuples()
    assert row.status == "ok"
    assert np.isfinite([row.negative_elbo, row.negative_importance_weighted, row.predictive_sd_held_out]).all()
    assert comparison.arrays["vae", 0]["codes"].shape == (12, size)
    assert set(comparison.plot()) == FIGURES


def test_two_classes_of_which_one_has_no_test_images() -> None:
    two = patterns(labels=(0, 1))
    kept = two.y_test == 0
    one = dataclasses.replace(two, x_test=two.x_test[kept], y_test=two.y_test[kept])
    comparison = compare_autoencoders(one, models=AE, held_out=np.int64(1), **QUIET)
    (row,) = comparison.results.itertuples()
    assert row.status == "ok"
    assert comparison.table["confused"].tolist() == [""]
    assert tables(comparison.table, comparison.results, "one class")
    assert np.isfinite(row.rmse_held_out), "of training images, which the second fit has not seen"
    assert math.isnan(row.silhouette), "one class cannot be apart from others"


def test_a_class_without_training_images_is_neither_seen_nor_held_out() -> None:
    images = dataclasses.replace(IMAGES, y_test=np.where(IMAGES.y_test == 7, 9, IMAGES.y_test))
    comparison = compare_autoencoders(images, models=AE, **QUIET)
    (row,) = comparison.results.itertuples()
    assert row.held_out == 7, "the last label of the training images"
    np.testing.assert_array_equal(comparison.images["apart_labels"], [2, 5, 7, 7, 7, 7])
    np.testing.assert_array_equal(comparison.images["apart_seen"], [True, True, False, False, False, False])
    with pytest.raises(ValueError, match="no training image has label 9; known: 2, 5, 7"):
        compare_autoencoders(images, held_out=9, **QUIET)


def test_few_images_are_trained_on_for_as_many_steps_as_many(ran: Any) -> None:
    assert Autoencoder().for_images(60_000) == Autoencoder(epochs=15)
    few = Autoencoder().for_images(1437)
    assert abs(few.epochs * 1437 / 100 - 3000) < 15
    assert Autoencoder(epochs=2).for_images(1437).epochs == 2
    assert ran[0].settings["methods"]["flipout-ae"] == {
        "class": "Autoencoder",
        **dataclasses.asdict(QUICK["flipout-ae"]),
    }


def _write(out: Path, settings: Any, images: Any, outcomes: Any, kind: str = "autoencoders") -> None:
    """Write a directory with other contents, whose files are as they were written."""
    store = Store(directory=out, kind=kind, columns={"rows": AUTOENCODER_COLUMNS})
    store.prepare(settings, tables={}, arrays={"images": images})
    for key, outcome in outcomes.items():
        store.save(key, outcome)


def test_a_directory_that_lacks_what_the_figures_need_is_not_read(ran: Any, tmp_path: Path) -> None:
    comparison = ran[0]
    settings, images, vae = comparison.settings, dict(comparison.images), comparison.outcomes["vae", 0]

    def without(name: str) -> dict[Any, Outcome]:
        arrays = {own: array for own, array in vae.arrays.items() if own != name}
        return {("vae", 0): dataclasses.replace(vae, arrays=arrays)}

    fewer = {name: array for name, array in images.items() if name != "apart"}
    changes: dict[str, tuple[Any, ...]] = {
        "it does not describe the images": ({**settings, "images": {"name": "patterns"}}, images, {}),
        "must hold a comparison of autoencoders, got one of tables": (settings, images, {}, "tables"),
        "lacks the arrays apart": (settings, fewer, {}),
        "arrays.npz lacks the arrays codes": (settings, images, without("codes")),
        "arrays.npz lacks the arrays history_nll": (settings, images, without("history_nll")),
    }
    for number, (message, contents) in enumerate(changes.items()):
        _write(tmp_path / str(number), *contents)
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            AutoencoderComparison.read(tmp_path / str(number))
        assert "\n" not in str(caught.value)


def test_rows_of_another_version_are_read_and_drawn(ran: Any, tmp_path: Path) -> None:
    comparison = ran[0]
    vae = comparison.outcomes["vae", 0]
    rows = vae.rows.drop(columns="silhouette").assign(ssim=0.5)
    _write(
        tmp_path / "old",
        comparison.settings,
        dict(comparison.images),
        {("vae", 0): dataclasses.replace(vae, rows=rows)},
    )
    read = AutoencoderComparison.read(tmp_path / "old")
    assert read.results["silhouette"].isna().all()
    assert read.results["ssim"].tolist() == [0.5]
    assert set(read.plot()) == FIGURES
    assert tables(read.table, read.results, "patterns")
