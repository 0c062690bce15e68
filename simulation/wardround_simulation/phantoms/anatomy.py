"""A breast as a mammogram shows it, drawn from smooth shapes; the finding is a soft, irregular mass.

Density 0 is air, 1 is dense. Lengths are in units of 90 mm: x runs from the chest wall at the left edge to the right, y
downwards, from the middle of the image. What a mass could be mistaken for (vessels, calcifications, lumps of gland) is
drawn in both classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Shapes = NDArray[np.float64]
"""One shape a row; the columns are named where they are kept."""

UNIT_MM = 90.0


@dataclass(frozen=True, slots=True)
class Patient:
    """What stays the same in all images of one patient."""

    has_finding: bool
    depth: float
    """From the chest wall to the nipple."""
    height: float
    """Half the height at the chest wall."""
    fat: float
    gland: float
    """Density of fatty tissue, and what glandular tissue adds to it."""
    muscle: float
    """How far the pectoral muscle reaches at the top."""
    lumps: Shapes
    """(lumps, 4): denser places of the gland: x, y, radius, density."""
    vessels: Shapes
    """(vessels, 6): x and y of both ends, width, density."""
    calcifications: Shapes
    """(calcifications, 4): x, y, radius, density."""
    mass: Shapes
    """x, y, radius, density, softness of the border, then amplitudes (3) and phases (3) of its irregular outline."""


def draw_patient(rng: np.random.Generator, *, has_finding: bool) -> Patient:
    """Invent one patient; the same draws are made with and without a finding, so that nothing else tells them apart."""
    return Patient(
        has_finding=has_finding,
        depth=rng.uniform(1.35, 1.6),
        height=rng.uniform(0.85, 0.98),
        fat=rng.uniform(0.3, 0.36),
        gland=rng.uniform(0.08, 0.16),
        muscle=rng.uniform(0.4, 0.6),
        lumps=_draw_round(rng, 6, radius=(0.12, 0.25), density=(-0.05, 0.07)),
        vessels=_draw_vessels(rng),
        calcifications=_draw_round(rng, int(rng.integers(0, 6)), radius=(0.02, 0.04), density=(0.15, 0.4)),
        mass=_draw_mass(rng),
    )


def posed(rng: np.random.Generator, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return where in a breast the points x, y of an image lie, in a pose of its own."""
    angle, shift_x, shift_y = rng.normal(0, 0.05), rng.normal(0, 0.03), rng.normal(0, 0.04)
    squeeze = rng.uniform(0.96, 1.05)
    x, y = x - float(x.min()) - shift_x, (y - shift_y) * squeeze
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def render(patient: Patient, x: Plane, y: Plane) -> Plane:
    """Draw one image of a patient at the points x, y of the breast: a plane of densities about 0 to 1."""
    radius = np.hypot(x / patient.depth, y / (patient.height * (1 - 0.12 * x)))
    breast = _step(1 - radius, 0.02)
    skin = 0.06 * np.exp(-np.square((radius - 0.97) / 0.02))
    gland = _step(0.7 - np.hypot((x - 0.5 * patient.depth) / (0.75 * patient.depth), y / patient.height), 0.15)
    tissue = patient.fat + patient.gland * gland + skin
    tissue += _dots(patient.lumps, x, y) + _strokes(patient.vessels, x, y) + _dots(patient.calcifications, x, y)
    if patient.has_finding:
        tissue += _mass(patient.mass, x, y)
    muscle = _step(patient.muscle - 0.45 * (y + 1) - x, 0.03)
    return breast * (tissue + 0.35 * muscle)


def box_of_mass(patient: Patient, x: Plane, y: Plane) -> tuple[int, int, int, int] | None:
    """Return the box (left, upper, right and lower edge, in pixels) around where the mass is dense by half or more.

    None of a patient without one. ``x``, ``y``: as for ``render``.
    """
    if not patient.has_finding:
        return None
    dense = _mass(patient.mass, x, y) >= patient.mass[3] / 2
    rows, columns = np.flatnonzero(dense.any(axis=1)), np.flatnonzero(dense.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _draw_round(
    rng: np.random.Generator, count: int, *, radius: tuple[float, float], density: tuple[float, float]
) -> Shapes:
    x, y = _inside(rng, count)
    return np.stack((x, y, rng.uniform(*radius, count), rng.uniform(*density, count)), axis=1)


def _draw_vessels(rng: np.random.Generator) -> Shapes:
    """Draw vessels and ligaments that fan out from behind the nipple towards the chest wall."""
    count = int(rng.integers(4, 9))
    x, y = rng.uniform(0.8, 1.1, count), rng.normal(0, 0.1, count)
    angle, length = rng.uniform(-0.9, 0.9, count), rng.uniform(0.4, 0.9, count)
    ends = x - length * np.cos(angle), y + length * np.sin(angle)
    return np.stack((x, y, *ends, rng.uniform(0.015, 0.03, count), rng.uniform(0.05, 0.14, count)), axis=1)


def _draw_mass(rng: np.random.Generator) -> Shapes:
    x, y = _inside(rng, 1)
    size, density, softness = rng.uniform(0.14, 0.24), rng.uniform(0.25, 0.45), rng.uniform(0.12, 0.3)
    outline = (*rng.uniform(0, 0.22, 3), *rng.uniform(0, 2 * np.pi, 3))
    return np.array([x[0], y[0], size, density, softness, *outline])


def _inside(rng: np.random.Generator, count: int) -> tuple[Plane, Plane]:
    return rng.uniform(0.2, 1.0, count), rng.uniform(-0.5, 0.5, count)


def _step(distance: Plane, width: float) -> Plane:
    """Go smoothly from 0 outside (negative distance) to 1 inside over about four widths."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def _strokes(strokes: Shapes, x: Plane, y: Plane) -> Plane:
    """Add up soft straight strokes that get thinner towards their second end."""
    plane = np.zeros_like(x)
    for x_0, y_0, x_1, y_1, width, density in strokes:
        along_x, along_y = x_1 - x_0, y_1 - y_0
        share = ((x - x_0) * along_x + (y - y_0) * along_y) / (along_x * along_x + along_y * along_y)
        share = np.clip(share, 0, 1)
        distance = np.square(x - x_0 - share * along_x) + np.square(y - y_0 - share * along_y)
        taper = 1 - 0.6 * share
        plane += density * taper * np.exp(-distance / np.square(width * taper))
    return plane


def _dots(dots: Shapes, x: Plane, y: Plane) -> Plane:
    plane = np.zeros_like(x)
    for x_0, y_0, radius, density in dots:
        plane += density * np.exp(-(np.square(x - x_0) + np.square(y - y_0)) / (radius * radius))
    return plane


def _mass(mass: Shapes, x: Plane, y: Plane) -> Plane:
    """Draw a soft blob whose outline wanders about a circle."""
    x_0, y_0, size, density, softness = mass[:5]
    angle, distance = np.arctan2(y - y_0, x - x_0), np.hypot(x - x_0, y - y_0)
    outline = np.ones_like(x)
    for order, (amplitude, phase) in enumerate(zip(mass[5:8], mass[8:11], strict=True), start=2):
        outline += amplitude * np.cos(order * angle + phase)
    blob: Plane = density * _step(outline - distance / size, softness)
    return blob
