"""Data frames: columns of every type, and what is learned of the training rows alone."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from variational_bnn.base import BEYOND, Dataset, DatasetWarning
from variational_bnn.evaluation.split import split

COUNT = 12
NUMBERS = [3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
DAYS = [datetime.date(2024, 1, 1) + datetime.timedelta(days=int(number)) for number in NUMBERS]
SINCE_1970 = 19723 + np.array(NUMBERS)
EVEN = [number % 2 == 0 for number in NUMBERS]

COLUMNS: dict[str, tuple[object, object]] = {
    "float32": (np.array(NUMBERS, np.float32), NUMBERS),
    "int": (np.array(NUMBERS, np.int16), NUMBERS),
    "nullable int": (pd.array(NUMBERS, "Int64"), NUMBERS),
    "nullable float": (pd.array(NUMBERS, "Float32"), NUMBERS),
    "numbers as objects": (np.array(NUMBERS, object), NUMBERS),
    "bool": (EVEN, EVEN),
    "nullable bool": (pd.array(EVEN, "boolean"), EVEN),
    "truth as objects": (np.array(EVEN, object), EVEN),
    "datetime": (pd.to_datetime(DAYS), SINCE_1970),
    "datetime of a zone": (pd.to_datetime(DAYS).tz_localize("Asia/Tokyo"), SINCE_1970 - 9 / 24),
    "dates as objects": (np.array(DAYS, object), SINCE_1970),
    "duration": (pd.to_timedelta(NUMBERS, unit="D"), NUMBERS),
    "two words": (["no", "yes"] * 6, [0, 1] * 6),
    "two categories": (pd.Categorical([7, 5] * 6), [1, 0] * 6),
    "two strings": (pd.array(["no", "yes"] * 6, "string"), [0, 1] * 6),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_type_is_a_feature(kind: str) -> None:
    column, feature = COLUMNS[kind]
    dataset = Dataset.from_frame(pd.DataFrame({"x": column, "y": NUMBERS}), "y", name="any", encode=True)
    np.testing.assert_allclose(dataset.x[:, 0], feature, rtol=1e-12)
    assert (dataset.name, dataset.x.shape, dataset.target_names) == ("any", (COUNT, 1), ("y",))


@pytest.mark.parametrize(
    ("target", "settings", "names"),
    [
        (["b", "a", "c"] * 4, {}, ("a", "b", "c")),
        (pd.Categorical([10, 9] * 6), {}, ("9", "10")),
        (EVEN, {}, ("False", "True")),
        ([1.0, 0.0] * 6, {"classes": True}, ("0", "1")),
    ],
)
def test_a_target_of_classes(target: object, settings: dict[str, bool], names: tuple[str, ...]) -> None:
    frame = pd.DataFrame({"x": NUMBERS, "y": target})
    dataset = Dataset.from_frame(frame, "y", **settings)  # type: ignore[arg-type]
    assert dataset.class_names == names
    assert [names[int(number)] for number in dataset.y[:, 0]] == [str(value).removesuffix(".0") for value in frame["y"]]


def _incomplete(count: int = 60) -> pd.DataFrame:
    """A number and a word that are missing in some rows; the tail by `order` has other values and a word of its own."""
    rng = np.random.default_rng(0)
    order = rng.permutation(count)
    number = np.where(order >= 54, 1000.0, rng.integers(0, 5, count).astype(float))
    word = np.where(order >= 54, "late", rng.choice(["left", "right", "right"], count))
    frame = pd.DataFrame({"order": order, "number": number, "word": word, "y": rng.normal(size=count)})
    frame.loc[frame["order"] % 9 == 0, ["number", "word"]] = None
    return frame


@pytest.mark.parametrize(("missing", "rule"), [("mean", "mean"), ("median", "median"), ("most_frequent", "mode")])
def test_what_is_filled_and_encoded_is_learned_of_the_training_rows_alone(missing: str, rule: str) -> None:
    frame = _incomplete()
    with pytest.warns(
        DatasetWarning, match=r"^1 words of column 'word' in held-out rows are encoded as zeros, .*: late$"
    ):
        dataset = split(Dataset.from_frame(frame, "y", encode=True, missing=missing), tail="order", seed=0)
    assert dataset.feature_names == ("order", "number", "word=right")
    assert dataset.x_test is not None
    assert (
        dataset.x_test[dataset.test_regions == BEYOND, 1:].tolist().count([1000.0, 0.0]) == 5
    )  # Of 6, one is missing.
    seen = frame.set_index("order").loc[dataset.x[:, 0]]
    expected = getattr(seen["number"], rule)()
    expected = expected.iloc[0] if rule == "mode" else expected
    for x in (dataset.x, dataset.x_test):
        known = frame.set_index("order").loc[x[:, 0]]
        np.testing.assert_allclose(x[:, 1], known["number"].fillna(expected))
        np.testing.assert_array_equal(x[:, 2], known["word"].fillna("right") == "right")


def test_rows_with_anything_missing_are_dropped_by_that_rule() -> None:
    frame = _incomplete()
    frame.loc[3, "y"] = np.nan
    with pytest.warns(DatasetWarning, match="of 60 rows are left out, since a value is missing"):
        dataset = Dataset.from_frame(frame, "y", encode=True, missing="drop")
    assert dataset.x[:, 0].tolist() == frame.dropna()["order"].tolist()


def test_a_row_is_not_held_out_by_a_value_that_it_does_not_have() -> None:
    frame = pd.DataFrame({"a": [*range(30), *[None] * 10], "b": np.arange(40) % 7, "y": np.arange(40) % 5})
    dataset = split(Dataset.from_frame(frame, "y", missing="mean"), gap="a", tail="a", seed=0)
    assert dataset.x_test is not None
    assert sorted(dataset.x_test[dataset.test_regions == BEYOND, 0]) == [27, 28, 29]
    assert sorted(dataset.x_test[dataset.test_regions == "between", 0]) == list(range(9, 18))


def test_numbers_alone_are_neither_kept_twice_nor_made_again() -> None:
    frame = pd.DataFrame({"a": NUMBERS, "y": NUMBERS[::-1]})
    dataset = Dataset.from_frame(frame, "y")
    assert dataset.table is None
    assert not dataset.x.flags.writeable
    frame.loc[0, "a"] = 100.0
    assert dataset.x[0, 0] == NUMBERS[0]
