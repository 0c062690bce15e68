"""Distances between the values of an image that something can have been measured at, in mm."""

from __future__ import annotations

from collections.abc import Sequence

from wardround_common.errors import ImageRefused

LEAST_MM, MOST_MM = 1e-7, 1e3
"""A tenth of a nanometre, below the pixels of electron microscopes in pathology, and a metre, beyond any detector's."""


def check_distances(distances_mm: Sequence[float], *, where: str) -> None:
    """Refuse an image that states distances which nothing is measured at: sizes in mm and resampling go by them.

    Raises:
        ImageRefused: ``pixel-distances``.
    """
    beyond = [one for one in distances_mm if not LEAST_MM <= one <= MOST_MM]  # not a number is beyond, too
    if beyond:
        raise ImageRefused(
            "pixel-distances",
            f"it states {beyond[0]:.3g} mm between its values; {LEAST_MM:g} to {MOST_MM:g} mm are believed",
            where=where,
        )
