"""A chest as a radiograph shows it, drawn from smooth shapes; the finding is a soft mass in a lung.

Density 0 is air, 1 is dense. Lengths are in half chest widths (about 180 mm): x runs to the right of the image, y
downwards, from the middle of the chest.
What a mass could be mistaken for (vessels, vessels seen end-on, granulomas, scars) is drawn in both classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]

Shapes = NDArray[np.float64]
"""One shape a row; the columns are named where they are kept."""

HALF_CHEST_MM = 180.0


@dataclass(frozen=True, slots=True)
class Patient:
    """What stays the same in all images of one patient."""

    has_finding: bool
    build: float
    """Width of the chest beside the mean."""
    lung_height: float
    lung_density: float
    heart: float
    """Radius of the heart."""
    rib_pitch: float
    rib_phase: float
    rib_contrast: float
    vessels: Shapes
    """(vessels, 6): x and y of both ends, width at the root, density."""
    dots: Shapes
    """(dots, 4): granulomas and vessels seen end-on: x, y, radius, density."""
    scars: Shapes
    """(scars, 6): x and y of both ends, width, density."""
    mass: Shapes
    """x, y, radius, density, softness of the border, then amplitudes (3) and phases (3) of its irregular outline."""


def draw_patient(rng: np.random.Generator, *, has_finding: bool) -> Patient:
    """Invent one patient; the same draws are made with and without a finding, so that nothing else tells them apart."""
    return Patient(
        has_finding=has_finding,
        build=rng.uniform(0.9, 1.08),
        lung_height=rng.uniform(0.64, 0.8),
        lung_density=rng.uniform(0.16, 0.26),
        heart=rng.uniform(0.24, 0.34),
        rib_pitch=rng.uniform(0.2, 0.25),
        rib_phase=rng.uniform(0, 1),
        rib_contrast=rng.uniform(0.05, 0.1),
        vessels=_draw_vessels(rng),
        dots=_draw_dots(rng),
        scars=_draw_scars(rng),
        mass=_draw_mass(rng),
    )


def render(patient: Patient, rng: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Draw one image of a patient, in a pose of its own, at the points x, y: a plane of densities about 0 to 1."""
    angle, shift_x, shift_y = rng.normal(0, 0.04), rng.normal(0, 0.05), rng.normal(0, 0.05)
    scale = rng.uniform(0.95, 1.06) / patient.build
    x, y = (
        ((x - shift_x) * np.cos(angle) + (y - shift_y) * np.sin(angle)) * scale,
        ((y - shift_y) * np.cos(angle) - (x - shift_x) * np.sin(angle)) * scale,
    )
    breath = rng.normal(0, 0.03)
    side = np.abs(x)

    body = _step(0.36 + 0.6 * _step(y + 0.86, 0.06) + 0.04 * y - side, 0.02)
    bowl = 0.16 * (y - 0.05) * (1 - 0.5 * y)  # lungs are narrow at the apex
    radius = np.hypot((side - 0.45) / (0.33 + bowl), y / patient.lung_height)
    dome = 0.56 + breath + 0.05 * np.sign(x) + 0.5 * np.square(side - 0.4)
    lung = _step(1 - radius, 0.06) * _step(dome - y, 0.03)
    heart = _step(1 - np.hypot((x - 0.14) / patient.heart, (y - 0.32) / (patient.heart * 1.05)), 0.1)
    middle = _step(0.15 + 0.03 * np.sin(4 * y) - np.abs(x - 0.01), 0.04)
    lung = lung * (1 - heart) * (1 - middle)

    soft = body * (0.58 + 0.06 * _step(y - dome, 0.05)) - lung * (0.58 - patient.lung_density)
    soft += 0.12 * heart * body + 0.1 * middle * body
    rear = np.cos(2 * np.pi * ((y - 0.35 * side + 0.45 * np.square(side)) / patient.rib_pitch + patient.rib_phase))
    front = np.cos(2 * np.pi * ((y + 0.75 * side) / (1.5 * patient.rib_pitch) + 2.3 * patient.rib_phase))
    cage = _step(0.9 - np.hypot(x / 0.95, y / 1.05), 0.05) * _step(side - 0.1, 0.03)
    bones = patient.rib_contrast * cage * (_ridge(rear) + 0.6 * _ridge(front))
    bones += 0.1 * _strokes(_CLAVICLES, x, y) * body
    spine = 0.06 * middle * body * (1 + 0.4 * np.cos(2 * np.pi * y / 0.16))

    marks = _strokes(patient.vessels, x, y) + _strokes(patient.scars, x, y) + _dots(patient.dots, x, y)
    if patient.has_finding:
        marks += _mass(patient.mass, x, y)
    return soft + bones + spine + lung * marks


_CLAVICLES = np.array([[0.1, -0.6, 0.75, -0.74, 0.05, 1.0], [-0.1, -0.6, -0.75, -0.74, 0.05, 1.0]])


def _draw_vessels(rng: np.random.Generator) -> Shapes:
    """Draw branches that leave each hilum in all directions, thinner and fainter with their length."""
    count = 14
    side = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    angle = rng.uniform(-1.35, 1.35, count)
    length = rng.uniform(0.25, 0.55, count)
    x, y = 0.17 + rng.normal(0, 0.02, count), -0.02 + rng.normal(0, 0.05, count)
    ends = side * (x + length * np.cos(angle)), y + length * np.sin(angle)
    columns = (side * x, y, *ends, rng.uniform(0.012, 0.03, count), rng.uniform(0.12, 0.28, count))
    return np.stack(columns, axis=1)


def _draw_dots(rng: np.random.Generator) -> Shapes:
    count = int(rng.integers(1, 5))
    x, y = _in_lung(rng, count)
    columns = (x, y, rng.uniform(0.02, 0.045, count), rng.uniform(0.2, 0.5, count))
    return np.stack(columns, axis=1)


def _draw_scars(rng: np.random.Generator) -> Shapes:
    count = int(rng.integers(0, 3))
    x, y = _in_lung(rng, count)
    angle, length = rng.uniform(0, np.pi, count), rng.uniform(0.2, 0.4, count)
    ends = x + length * np.cos(angle), y + length * np.sin(angle)
    columns = (x, y, *ends, rng.uniform(0.02, 0.035, count), rng.uniform(0.15, 0.3, count))
    return np.stack(columns, axis=1)


def _draw_mass(rng: np.random.Generator) -> Shapes:
    x, y = _in_lung(rng, 1)
    size, density, softness = rng.uniform(0.12, 0.2), rng.uniform(0.12, 0.24), rng.uniform(0.12, 0.3)
    outline = (*rng.uniform(0, 0.22, 3), *rng.uniform(0, 2 * np.pi, 3))
    return np.array([x[0], y[0], size, density, softness, *outline])


def _in_lung(rng: np.random.Generator, count: int) -> tuple[Plane, Plane]:
    side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    return side * rng.uniform(0.32, 0.66, count), rng.uniform(-0.45, 0.4, count)


def _step(distance: Plane, width: float) -> Plane:
    """Go smoothly from 0 outside (negative distance) to 1 inside over about four widths."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def _ridge(wave: Plane) -> Plane:
    return np.square(np.maximum(wave, 0))


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
        plane += density * np.exp(-np.square((np.square(x - x_0) + np.square(y - y_0)) / (radius * radius)))
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
