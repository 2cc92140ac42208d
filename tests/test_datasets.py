"""The datasets: what is built in, what is kept in files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from variational_bnn.datasets import DATASETS, lecture, lecture_sample, load, read_csv, uci

ROWS_AND_FEATURES = {
    "boston": (506, 13),
    "concrete": (1030, 8),
    "energy": (768, 8),
    "kin8nm": (8192, 8),
    "naval": (11934, 14),
    "power": (9568, 4),
    "protein": (45730, 9),
    "wine": (1599, 11),
    "yacht": (308, 6),
}


def _written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


def test_lecture_is_the_file_read_off_the_plot(data_dir: Path) -> None:
    """The built-in points are those of toy.csv, whose inputs have ten decimals."""
    file = read_csv(data_dir / "lecture" / "toy.csv", target="y")
    np.testing.assert_allclose(lecture().x, file.x, rtol=0, atol=5e-11)
    np.testing.assert_array_equal(lecture().y, file.y)
    assert (lecture().feature_names, lecture().target_names) == (("x",), ("y",))


def test_lecture_has_a_gap_and_agrees_with_its_formula() -> None:
    """The 20 targets are within 3 sd of 10 sin(2 pi x), and their residuals have a sd of about 1; a cosine has not."""
    x, y = lecture().x, lecture().y
    assert len(x) == 20
    assert np.abs(x).min() > 0.2
    residual = y - 10 * np.sin(2 * np.pi * x)
    assert np.abs(residual).max() < 3
    assert 0.7 < residual.std() < 1.4
    assert (y - 10 * np.cos(2 * np.pi * x)).std() > 5


def test_a_sample_of_20_has_the_lectures_inputs() -> None:
    """The sample's inputs, at the lecture's size, are the lecture's."""
    np.testing.assert_allclose(lecture_sample(20, seed=0).x, lecture().x, atol=1e-15)


@pytest.mark.parametrize("num_examples", [2, 3, 21, 80])
def test_a_sample_keeps_to_the_two_intervals(num_examples: int) -> None:
    """At any size, the inputs are in the lecture's two intervals, split as evenly as can be."""
    x = lecture_sample(num_examples, seed=0).x[:, 0]
    low, high = np.abs(lecture().x).min(), 0.5
    assert len(x) == num_examples
    assert ((np.abs(x) >= low - 1e-12) & (np.abs(x) <= high)).all()
    assert (np.diff(x) > 0).all()
    assert (x < 0).sum() - (x > 0).sum() == num_examples % 2


def test_a_samples_noise_is_standard_normal() -> None:
    """Over n residuals, mean and variance are within 4 standard errors of 0 and 1."""
    n = 10_000
    sample = lecture_sample(n, seed=1)
    residual = sample.y - 10 * np.sin(2 * np.pi * sample.x)
    assert abs(residual.mean()) < 4 / np.sqrt(n)
    assert abs(residual.var() - 1) < 4 * np.sqrt(2 / n)


def test_a_sample_is_given_by_its_seed() -> None:
    """The same seed gives the same targets, another seed others."""
    np.testing.assert_array_equal(lecture_sample(9, seed=3).y, lecture_sample(9, seed=3).y)
    assert not np.array_equal(lecture_sample(9, seed=3).y, lecture_sample(9, seed=4).y)


@pytest.mark.parametrize("num_examples", [0, -1, 2.5, True, 1])
def test_a_sample_wants_two_examples(num_examples: int) -> None:
    """Anything but a whole number of at least 2 is refused."""
    with pytest.raises(ValueError, match="must be a whole number|at least 2 training rows"):
        lecture_sample(num_examples, seed=0)


def test_csv_gives_back_what_pandas_wrote(tmp_path: Path) -> None:
    """A written table is read back to the last bit, with the target taken out of the middle."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(11, 3)) * [1e-9, 1, 1e9], columns=["a", "y", "b c"])
    table.to_csv(tmp_path / "some.csv", index=False)
    dataset = read_csv(tmp_path / "some.csv", target="y")
    np.testing.assert_array_equal(dataset.x, table[["a", "b c"]].to_numpy())
    np.testing.assert_array_equal(dataset.y, table[["y"]].to_numpy())
    assert (dataset.name, dataset.feature_names, dataset.target_names) == ("some", ("a", "b c"), ("y",))
    assert dataset.x_test is None
    assert read_csv(tmp_path / "some.csv", target="y", name="other").name == "other"


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1,2\n3,4\n",
        "\ufeffx,y\r\n1,2\r\n3,4\r\n",
        'x, y\n "1", 2 \n3,4e0',
        "x,y\n\n1,2\n\n\n3,4\n\n",
    ],
    ids=["plain", "windows", "spaces", "blank lines"],
)
def test_csv_is_read_as_people_write_it(tmp_path: Path, text: str) -> None:
    """Byte order mark, line ends, spaces, quotes and blank lines do not change the table."""
    dataset = read_csv(_written(tmp_path, text), target="y")
    np.testing.assert_array_equal(dataset.x, [[1], [3]])
    np.testing.assert_array_equal(dataset.y, [[2], [4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (" , \n", "has no column names"),
        ("x,y\n", "has no rows below"),
        ("x,z\n1,2\n3,4\n", "no column 'y'; columns: x, z"),
        ("y\n1\n2\n", "no feature columns beside the target 'y'"),
        ("x,x,y\n1,2,3\n4,5,6\n", "more than one column named 'x'"),
        (",x,y\n0,1,2\n1,2,3\n", "column 1 of 3 has no name"),
        ("x,y\n1,2\n\n3,red\nblue,4\n", "column 'y' must hold finite numbers, line 4 has 'red'"),
        ("x,y\n1,2\n,4\n", "column 'x' must hold finite numbers, line 3 has an empty cell"),
        ("x,y\n1,2\n3\n", "column 'y' must hold finite numbers, line 3 has an empty cell"),
        ("x,y\n1,NA\n3,4\n", "column 'y' must hold finite numbers, line 2 has 'NA'"),
        ("x,y\n1,2\n3,nan\n", "line 3 has 'nan'"),
        ("x,y\n-inf,2\n3,4\n", "line 2 has '-inf'"),
        ("x,y\n1,2\n3,1e999\n", "line 3 has '1e999'"),
        ("x,y\n1,True\n3,False\n", "line 2 has 'True'"),
        ("x,y\n1,2\n3,4,5\n", "cannot parse .*: Expected 2 fields in line 3, saw 3$"),
        ('x,y\n1,"2\n3,4\n', "cannot parse .*: EOF inside string"),
        ("x,y\n1,2\n", "at least 2 training rows, got 1"),
        ("x,y\n1,2\n1,3\n", "feature 'x' is constant"),
        ("x,y\n1,2\n2,2\n", "target 'y' is constant"),
    ],
)
def test_csv_says_what_is_wrong_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """What cannot be a regression table is refused, with the place of the fault."""
    with pytest.raises(ValueError, match=message) as caught:
        read_csv(_written(tmp_path, text), target="y")
    assert "\n" not in str(caught.value)


def test_csv_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a binary file are named."""
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="image.csv is not UTF-8 text"):
        read_csv(tmp_path / "image.csv", target="y")
    with pytest.raises(ValueError, match="cannot read .*none.csv: No such file"):
        read_csv(tmp_path / "none.csv", target="y")
    with pytest.raises(ValueError, match="cannot read "):
        read_csv(tmp_path, target="y")


@pytest.mark.parametrize("name", ROWS_AND_FEATURES)
def test_uci_tables_are_complete(data_dir: Path, name: str) -> None:
    """Each table has its published number of rows and features, and says so in its line."""
    dataset = uci(name)
    assert dataset.x.shape == ROWS_AND_FEATURES[name]
    assert dataset.y.shape == (len(dataset.x), 1)
    assert len(set(dataset.feature_names)) == len(dataset.feature_names)
    assert DATASETS[f"uci:{name}"].startswith("{} rows, {} features: ".format(*ROWS_AND_FEATURES[name]))


@pytest.mark.parametrize(("name", "folder"), [("naval", "naval-propulsion-plant"), ("yacht", "yacht")])
def test_uci_columns_are_those_of_the_index_files(data_dir: Path, name: str, folder: str) -> None:
    """Features and target are the published columns, less the constant ones; naval's target is not the last column."""
    path = data_dir / "uci" / folder
    values = np.loadtxt(path / "data.txt")
    features = values[:, np.loadtxt(path / "index_features.txt", dtype=int)]
    target = values[:, int(np.loadtxt(path / "index_target.txt"))]
    dataset = uci(name)
    np.testing.assert_array_equal(dataset.x, features[:, features.std(axis=0) > 1e-9])
    np.testing.assert_array_equal(dataset.y[:, 0], target)


def test_naval_leaves_out_what_is_constant(data_dir: Path) -> None:
    """The air at the compressor's inlet has one temperature and one pressure throughout."""
    names = uci("naval").feature_names
    assert "compressor_inlet_temperature" not in names
    assert "compressor_inlet_pressure" not in names
    assert "compressor_outlet_pressure" in names


def test_known_values_are_in_the_columns_of_their_names(data_dir: Path) -> None:
    """Landmarks that anyone can look up: Boston's prices are capped at 50, wine scores are whole, pH is near 3.3."""
    boston, wine = uci("boston"), uci("wine")
    assert boston.y.max() == 50
    assert set(boston.x[:, boston.feature_names.index("chas")]) == {0.0, 1.0}
    assert set(wine.y[:, 0]) == {3.0, 4.0, 5.0, 6.0, 7.0, 8.0}
    assert wine.x[:, wine.feature_names.index("ph")].mean() == pytest.approx(3.31, abs=0.01)


def test_uci_refuses_an_unknown_name() -> None:
    """The message lists the tables there are."""
    with pytest.raises(ValueError, match="unknown UCI dataset 'iris'; known: boston, concrete, .*, yacht"):
        uci("iris")


def test_uci_refuses_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that is missing, or is not the published file, is refused."""
    monkeypatch.setenv("VARIATIONAL_BNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="VARIATIONAL_BNN_DATA is .*, but there is no file .*data.txt"):
        uci("yacht")
    (tmp_path / "uci" / "yacht").mkdir(parents=True)
    (tmp_path / "uci" / "yacht" / "data.txt").write_text("1 2 3 4 5 6 7\n")
    with pytest.raises(ValueError, match="must have sha256 00dfecc0.*, got "):
        uci("yacht")


class _FromFile:
    """Stands for `pooch.HTTPDownloader`: gives a local file, or fails as a machine without a network does."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.addresses: list[str] = []

    def __call__(self, url: str, output_file: str, _: object) -> None:
        self.addresses.append(url)
        if self.path is None:
            Path(output_file).write_bytes(b"half of the")
            raise ConnectionError("a long story\nin two lines")
        Path(output_file).write_bytes(self.path.read_bytes())


def _online(monkeypatch: pytest.MonkeyPatch, cache: Path, path: Path | None) -> _FromFile:
    downloader = _FromFile(path)
    monkeypatch.delenv("VARIATIONAL_BNN_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: cache / project)
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda timeout: downloader)
    return downloader


def test_uci_is_downloaded_once(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call reads the cache, and gives the rows that the copy gives."""
    from_copy = uci("yacht")
    downloader = _online(monkeypatch, tmp_path, data_dir / "uci" / "yacht" / "data.txt")
    first, second = uci("yacht"), uci("yacht")
    assert len(downloader.addresses) == 1
    assert downloader.addresses[0].endswith("/UCI_Datasets/yacht/data/data.txt")
    for dataset in (first, second):
        np.testing.assert_array_equal(dataset.x, from_copy.x)


def test_a_failed_download_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network, the message has the name, the address and the way out; no half file stays behind."""
    downloader = _online(monkeypatch, tmp_path, None)
    with pytest.raises(
        ValueError, match="cannot download dataset 'yacht' from https://.*VARIATIONAL_BNN_DATA"
    ) as caught:
        uci("yacht")
    assert "\n" not in str(caught.value)
    assert len(downloader.addresses) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_download_with_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has changed at its source is not used, nor kept."""
    changed = tmp_path / "changed.txt"
    changed.write_text("1 2 3 4 5 6 7\n")
    _online(monkeypatch, tmp_path / "cache", changed)
    with pytest.raises(ValueError, match="its checksum is wrong"):
        uci("yacht")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_load_by_name(data_dir: Path, tmp_path: Path) -> None:
    """A name or a path gives what its own function gives."""
    np.testing.assert_array_equal(load("lecture").y, lecture().y)
    np.testing.assert_array_equal(load("uci:yacht").y, uci("yacht").y)
    np.testing.assert_array_equal(load(str(_written(tmp_path, "x,y\n1,2\n3,4\n")), "y").y, [[2], [4]])


def test_load_refuses_what_it_cannot_find(tmp_path: Path) -> None:
    """The message lists every known name, or the columns to choose a target from."""
    with pytest.raises(ValueError, match="unknown dataset 'uci:iris'; known: ") as caught:
        load("uci:iris")
    assert all(name in str(caught.value) for name in DATASETS)
    path = _written(tmp_path, "x,y\n1,2\n3,4\n")
    with pytest.raises(ValueError, match="needs a target; columns: x, y"):
        load(str(path))
    with pytest.raises(ValueError, match="no column 'z'; columns: x, y"):
        load(str(path), "z")


@pytest.mark.parametrize("spec", ["lecture", "uci:yacht"])
def test_load_refuses_a_target_that_is_not_to_choose(spec: str) -> None:
    """Named datasets have their own target."""
    with pytest.raises(ValueError, match=f"dataset '{spec}' has its own target, got 'y'"):
        load(spec, "y")
