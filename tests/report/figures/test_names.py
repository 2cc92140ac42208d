"""Names of any script are drawn, as plain text, or replaced with one remark."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from figure_parts import drawn, texts_of
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from report_rows import DATA, predictions, results, sd_results

from variational_bnn.base import DatasetWarning
from variational_bnn.evaluation.summary import summarise
from variational_bnn.report.figures.autoencoders import AutoencoderRows, plot_autoencoders
from variational_bnn.report.figures.comparison import ComparisonRows, plot_comparison

UNKNOWN = "\N{CJK UNIFIED IDEOGRAPH-9F98}\N{CJK UNIFIED IDEOGRAPH-9F97}"
OTHER = "\N{CJK UNIFIED IDEOGRAPH-9F96}\N{CJK UNIFIED IDEOGRAPH-9F95}"


def _figures(*methods: str, target: str = "y") -> dict[str, list[str]]:
    """The texts of the figures of these methods, by figure."""
    rows = predictions(methods).replace({"output": {"y": target}})
    found = plot_comparison(
        ComparisonRows(
            results=results(methods),
            predictions=rows,
            data=DATA.rename(columns={"y": target}),
            summary=summarise(results(methods)),
        )
    )
    assert all(drawn(figure) for figure in found.values())
    return {name: [text.get_text() for text, _ in texts_of(figure)] for name, figure in found.items()}


@pytest.fixture
def font(tmp_path: Path) -> Iterator[None]:
    """A font that this machine has for a while, with the glyphs of `UNKNOWN` alone."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    pen.lineTo((500, 700))
    pen.lineTo((900, 0))
    pen.closePath()
    names = [".notdef", *(f"g{i}" for i in range(len(UNKNOWN)))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, UNKNOWN), names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Two Glyphs", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(tmp_path / "two.ttf")
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(tmp_path / "two.ttf")
    yield
    font_manager.fontManager.ttflist = before


def test_names_are_drawn_by_any_font_that_has_them(font: None, caplog: pytest.LogCaptureFixture) -> None:
    """A glyph that is missing would be a warning of Matplotlib's, an error in tests; a missing weight is logged."""
    for texts in _figures("flipout", UNKNOWN, target="цена").values():
        assert any(UNKNOWN in text for text in texts)
    assert not caplog.records


def test_characters_without_a_font_are_replaced_with_one_remark() -> None:
    shown = f"figures show \\?\\? for {UNKNOWN}, \\?\\? \\(2\\) for {OTHER}$"
    with pytest.warns(DatasetWarning, match=shown) as caught:
        figures = _figures(UNKNOWN, "flipout", OTHER)
    assert len(caught) == 1
    for texts in figures.values():
        assert {"??", "flipout", "?? (2)"} <= set(texts)
    images = AutoencoderRows(results=sd_results([OTHER], 1), images={}, arrays={(OTHER, 0): {}})
    with pytest.warns(DatasetWarning, match="no font on this machine has"):
        plot_autoencoders(images)


def test_signs_of_formulas_are_drawn_as_they_are() -> None:
    names = ("price_in_$ of $x_1$", "$\\frac{1}$", "a\\$b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = _figures(*names, target="$y$")
    for texts in figures.values():
        assert {*names, "sd over draws of the mean of $y$", "$y$"} & set(texts)
        assert set(names) <= set(texts)


def test_long_names_are_shortened_and_stay_different() -> None:
    names = [f"{'a very long name of a method ' * 5}{end}" for end in ("one", "two")]
    texts = _figures(*names)["bands"]
    shown = [text for text in texts if text.startswith("a very")]
    assert len(set(shown)) == 2
    assert all(len(text) <= 24 for text in shown)
