"""How much of the variance over draws is latent, which is noise of the row and not uncertainty about the function."""

from __future__ import annotations

import math

MOSTLY = 0.5
"""The share of the latent variance above which figures mark a method."""


def as_percent(share: float) -> str:
    """Return a share as a whole number of percent; "" for none and for an unknown one.

    Only a share of exactly 1 is "100 %", and a share above 0 is never "0 %".
    """
    if math.isnan(share) or share <= 0:
        return ""
    if share < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < share < 1 else f"{100 * share:.0f} %"
