"""Downloads: once, checked, and one line with the way out where they fail."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pooch
import pytest

from variational_bnn.datasets.downloads import copy_of, download

CONTENT = b"1 2 3"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


class _Local:
    """Stands for `pooch.HTTPDownloader`: writes some bytes, or fails as a machine without a network does."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.addresses: list[str] = []

    def __call__(self, url: str, output_file: str, _: object) -> None:
        self.addresses.append(url)
        Path(output_file).write_bytes(b"half of the" if self.content is None else self.content)
        if self.content is None:
            raise ConnectionError("a long story\nin two lines")


def _online(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> _Local:
    downloader = _Local(content)
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda timeout: downloader)
    return downloader


def _download(to: Path) -> Path:
    return download("dataset 'd'", "https://somewhere/d.txt", sha256=CHECKSUM, to=to, copy="folder/d.txt")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call reads what the first has kept, in a folder that it has made."""
    downloader = _online(monkeypatch, CONTENT)
    to = tmp_path / "cache" / "kept.txt"
    assert _download(to) == _download(to) == to
    assert downloader.addresses == ["https://somewhere/d.txt"]
    assert to.read_bytes() == CONTENT
    assert _files(tmp_path) == [to]


def test_a_file_that_is_there_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloader = _online(monkeypatch, None)
    (tmp_path / "kept.txt").write_bytes(CONTENT)
    assert _download(tmp_path / "kept.txt").read_bytes() == CONTENT
    assert downloader.addresses == []


@pytest.mark.parametrize(("content", "reason"), [(None, "ConnectionError"), (b"other", "its checksum is wrong")])
def test_a_failed_download_is_one_line_and_leaves_nothing(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, and with another file than the published one."""
    _online(monkeypatch, content)
    with pytest.raises(ValueError, match="cannot download") as caught:
        _download(tmp_path / "kept.txt")
    assert str(caught.value) == (
        f"cannot download dataset 'd' from https://somewhere/d.txt ({reason}); "
        "VARIATIONAL_BNN_DATA can name a folder that has a copy, folder/d.txt"
    )
    assert _files(tmp_path) == []


def test_a_copy_is_in_the_folder_that_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VARIATIONAL_BNN_DATA", raising=False)
    assert copy_of("d.txt") is None
    monkeypatch.setenv("VARIATIONAL_BNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"^VARIATIONAL_BNN_DATA is .*, but there is no file .*d\.txt$"):
        copy_of("d.txt")
    (tmp_path / "d.txt").write_bytes(CONTENT)
    assert copy_of("d.txt") == tmp_path / "d.txt"
