"""Columns of words, dates and missing values, and how features are made of them."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from variational_bnn.base.checks import Array, require

MISSING_RULES = ("drop", "mean", "median", "most_frequent")
"""What `missing` may be: leave rows with a missing value out, or fill it from the training rows."""

MAX_WORDS = 50
"""How many different words a column may have to become features."""

Rows = npt.NDArray[np.intp]
"""Numbers of rows."""


class DatasetWarning(UserWarning):
    """A table can be learned from, but may not be what it seems; the message says what to do.

    Example:
        >>> import warnings
        >>> import variational_bnn as vbnn
        >>> warnings.simplefilter("ignore", vbnn.DatasetWarning)
    """


def normal_form(name: object) -> str:
    """A name in the composed form of Unicode (NFC), without spaces around it: as one sees it, whoever wrote it."""
    return unicodedata.normalize("NFC", str(name)).strip()


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Feature columns from which features are made by what is learned of the training rows alone.

    Attributes:
        columns: `[N, C]`; numbers, NaN where they are missing, or words, None where they are missing.
        words: Names of the columns of words.
        missing: How missing values are filled: one of `MISSING_RULES`, or None if there are none.
    """

    columns: pd.DataFrame
    words: tuple[str, ...]
    missing: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(map(str, self.columns.columns))

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        return tuple(name for name in self.names if name not in self.words)

    def features(self, train: Rows, test: Rows) -> tuple[Array, Array, tuple[str, ...]]:
        """Features of training rows and of held-out rows, and their names.

        Numbers stay as they are, but for missing ones, which are filled. A column of words becomes a feature of zeros
        and ones for each word of the training rows, or one feature if there are two words. A missing word is filled
        with the most frequent one; a word that no training row has is zero in all features of its column.

        Raises:
            ValueError: If a column has no value in the training rows.
        """
        seen, held_out = self.columns.iloc[train], self.columns.iloc[test]
        for name in self.names:
            require(bool(seen[name].notna().any()), f"column {name!r} has no value in any training row: remove it")
        for name in self.words:
            new = sorted(set(held_out[name].dropna()) - set(seen[name]))
            if new:
                zeros = "encoded as zeros, since no training row has them"
                text = f"{len(new)} words of column {name!r} in held-out rows are {zeros}: {_listed(new)}"
                warnings.warn(text, DatasetWarning, stacklevel=3)
        transformers = [(str(place), self._transformer(name), [name]) for place, name in enumerate(self.names)]
        transformer = ColumnTransformer(transformers, verbose_feature_names_out=False, sparse_threshold=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found unknown categories")  # They are named above.
            x = np.asarray(transformer.fit_transform(seen), dtype=np.float64)
            x_test = np.asarray(transformer.transform(held_out), dtype=np.float64) if len(test) else x[:0]
        return x, x_test, tuple(map(str, transformer.get_feature_names_out()))

    def _transformer(self, name: str) -> object:
        if name not in self.words:
            return SimpleImputer(strategy=self.missing) if self.columns[name].isna().any() else "passthrough"
        encoder = OneHotEncoder(
            drop="if_binary",
            handle_unknown="ignore",
            sparse_output=False,
            feature_name_combiner=lambda feature, word: f"{feature}={word}",
        )
        imputer = SimpleImputer(missing_values=None, strategy="most_frequent")
        return make_pipeline(imputer, encoder) if self.columns[name].isna().any() else encoder


def _listed(words: Iterable[object], most: int = 3) -> str:
    """The first few words."""
    shown = [str(word) for word in words]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")
