"""How a hospital's budget is written, for the screen and for pages alike."""

from __future__ import annotations

import math

from wardround_client.spending.budget import SpendingLevel


def shown(epsilon: float | None) -> str:
    """Write an epsilon so that it is never rounded down."""
    return "without bound" if epsilon is None else f"{math.ceil(epsilon * 1000) / 1000:.3f}"


def level_name(level: SpendingLevel) -> str:
    """Name a level."""
    if level.up_to is None:
        return "without bound"
    return "0" if level.up_to == 0 else f"{level.above:g} to {level.up_to:g}"
