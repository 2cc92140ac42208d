"""Names as figures can draw them: of letters that a font has, and read as plain text."""

from __future__ import annotations

import functools
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from variational_bnn.base import DatasetWarning
from variational_bnn.report.names import distinct, shortened

WIDTH = 24
"""The largest width of a name in a figure, where a Chinese character takes two."""

NO_GLYPH = "?"
WEIGHTS = REGULAR, BOLD = 400, 700
"""The weights of fonts that figures use."""


@dataclass(frozen=True, kw_only=True)
class DrawnNames:
    """How names are drawn.

    Attributes:
        shown: From each name to what is drawn.
        families: The font families that have the characters; the first that has one draws it.
        bold: Whether all these families have a bold font.
    """

    shown: Mapping[str, str]
    families: tuple[str, ...]
    bold: bool

    @classmethod
    def of(cls, names: Iterable[str]) -> DrawnNames:
        """Shorten the names, and find fonts for them on this machine.

        Warns once, with a `DatasetWarning`, of names with characters that no font has, which are drawn as "?".
        """
        short = shortened(dict.fromkeys(names), WIDTH)
        default = tuple(rcParams["font.family"])
        wanted = {character for name in short.values() for character in name if not character.isspace()}
        more, missing = _families_for({each for each in wanted if not _has_glyph(default, each)})
        shown = distinct({name: "".join(_drawn(each, missing) for each in text) for name, text in short.items()})
        if missing:
            replaced = [f"{text} for {name}" for name, text in shown.items() if missing & set(short[name])]
            message = f"no font on this machine has all characters of these names; figures show {', '.join(replaced)}"
            warnings.warn(message, DatasetWarning, stacklevel=4)
        return cls(shown=shown, families=(*default, *more), bold=all(BOLD in _weights(family) for family in more))

    def dress(self, figure: Figure) -> None:
        """Draw all texts of a figure as plain text, without the signs of formulas, in the fonts that have its names."""
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_parse_math(False)
            text.set_fontfamily(list(self.families))
            if not self.bold:
                text.set_fontweight(REGULAR)


def _drawn(character: str, missing: set[str]) -> str:
    """A character, or what stands for it: nothing for a mark upon another character or one that is not seen."""
    if character not in missing:
        return character
    return "" if unicodedata.category(character) in ("Cf", "Mn") else NO_GLYPH


def _families_for(characters: set[str]) -> tuple[list[str], set[str]]:
    """Font families of this machine that have the characters, and the characters that none has."""
    families: list[str] = []
    known = sorted({font.name for font in font_manager.fontManager.ttflist}) if characters else []
    candidates = [name for name in known if REGULAR in _weights(name)]
    while characters:
        found = {name: {each for each in characters if _has_glyph((name,), each)} for name in candidates}
        best = max(found, key=lambda name: (len(found[name]), BOLD in _weights(name), "Sans" in name), default="")
        if not found.get(best):
            break
        families.append(best)
        characters = characters - found[best]
    return families, characters


def _weights(family: str) -> set[int]:
    """The weights that a family has; none of a font of boxes, which has one for every character."""
    if family.startswith("Last Resort"):
        return set()
    fonts = [font for font in font_manager.fontManager.ttflist if font.name == family and font.style == "normal"]
    numbers = {font_manager.weight_dict[each] if isinstance(each, str) else each for each in (f.weight for f in fonts)}
    return numbers & set(WEIGHTS)


@functools.lru_cache(maxsize=100_000)
def _has_glyph(families: tuple[str, ...], character: str) -> bool:
    """Whether the fonts of these families have the character, in each weight that they have of those in figures."""
    one = _weights(families[0]) if len(families) == 1 else set()
    return all(_in_any(families, weight, character) for weight in one or WEIGHTS)


def _in_any(families: tuple[str, ...], weight: int, character: str) -> bool:
    paths = (font_manager.findfont(FontProperties(family=[family], weight=weight)) for family in families)
    return any(_index(path, character) for path in paths)


def _index(path: str, character: str) -> int:
    """The number of the character's glyph in a font; 0 if it has none, or cannot be read."""
    try:
        return font_manager.get_font(path).get_char_index(ord(character))
    except (OSError, RuntimeError):
        return 0
