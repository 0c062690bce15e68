"""Made ultrasound: speckle in a sector, over anatomy that differs by patient; and near-copies of such images.

Speckle is the modulus of filtered complex noise (Goodman 1976), as from a beam that is finer along than across;
attenuation, layers, a cyst or two and a smooth field are the anatomy; the sector, a grey bar, a ruler and a line of
letters are the same in all images of a machine.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
DEPTHS, BEAMS = 300, 160


def ultrasound(patient: int, machine: int = 0, size: int = 256) -> Picture:
    """Make one patient's image by one machine: (size, size) uint8; every second patient is scanned with less gain."""
    rng, of_machine = np.random.default_rng(patient), np.random.default_rng(1000 + machine)
    half, apex = of_machine.uniform(0.5, 0.7), of_machine.uniform(-0.15, -0.05)
    down, across = np.mgrid[0:size, 0:size] / size
    radius, angle = np.hypot(across - 0.5, down - apex), np.arctan2(across - 0.5, down - apex)
    inside = (np.abs(angle) < half) & (radius > 0.15) & (radius < 1)
    at_depth = ((radius - 0.15) / 0.85 * (DEPTHS - 1)).clip(0, DEPTHS - 1).astype(int)
    at_beam = ((angle + half) / (2 * half) * (BEAMS - 1)).clip(0, BEAMS - 1).astype(int)
    image = ((_echoes(rng)[at_depth, at_beam] + 35) / 50).clip(0, 1) * (255 if patient % 2 == 0 else 115)
    image[~inside] = 0
    image[size // 10 : size // 2, -size // 20 : -size // 40] = np.linspace(255, 0, size // 2 - size // 10)[:, None]
    image[size // 10 : size - size // 10 : size // 13, : size // 50] = 255
    image[-size // 16 : -size // 24, size // 16 : size // 3 : 2] = 250
    return image.astype(np.uint8)


def _echoes(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return echoes in decibels by depth and beam."""
    depth, beam = np.linspace(0, 1, DEPTHS)[:, None], np.linspace(0, 1, BEAMS)[None]
    noise = _smooth(rng, 1.0, 1.5) + 1j * _smooth(rng, 1.0, 1.5)
    field = _smooth(rng, 18, 14)
    layers = sum(_layer(rng, depth, beam) for _ in range(3))
    cysts = np.zeros((DEPTHS, BEAMS))
    for _ in range(rng.integers(0, 3)):
        at, over = rng.uniform(0.2, 0.8, 2)
        cysts -= 2.5 * np.exp(-((((depth - at) / 0.08) ** 2 + ((beam - over) / 0.1) ** 2) ** 2))
    speckle = 20 * np.log10(np.abs(noise) / np.abs(noise).mean() + 1e-3)
    return speckle + 3.6 * field / field.std() + 20 * layers + 12 * cysts - 8 * depth


def _layer(rng: np.random.Generator, depth: NDArray[np.float64], beam: NDArray[np.float64]) -> NDArray[np.float64]:
    bent = rng.uniform(0.05, 0.9) + 0.05 * np.sin(3 * beam * rng.uniform(0.5, 2) + rng.uniform(0, 6))
    layer: NDArray[np.float64] = rng.uniform(0.2, 0.8) * np.exp(-(((depth - bent) / 0.02) ** 2))
    return layer


def _smooth(rng: np.random.Generator, down: float, across: float) -> NDArray[np.float64]:
    """Return normal noise under a Gaussian filter of these widths, by way of its spectrum."""
    of_depth, of_beam = np.fft.fftfreq(DEPTHS)[:, None], np.fft.fftfreq(BEAMS)[None]
    gain = np.exp(-2 * np.pi**2 * ((down * of_depth) ** 2 + (across * of_beam) ** 2))
    filtered: NDArray[np.float64] = np.fft.ifft2(np.fft.fft2(rng.normal(size=(DEPTHS, BEAMS))) * gain).real
    return filtered


def jpeg(image: Picture, quality: int) -> Picture:
    """Compress and decompress."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))


def noisy(image: Picture, spread: float) -> Picture:
    """Add normal noise of this standard deviation, in grey values."""
    noise = np.random.default_rng(int(image.sum())).normal(0, spread, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def gained(image: Picture, factor: float, offset: float = 0) -> Picture:
    """Change gain and offset; what leaves the range is cut off."""
    return (image * factor + offset).clip(0, 255).astype(np.uint8)


def halved(image: Picture) -> Picture:
    """Halve both sides."""
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG, quality 80": lambda image: jpeg(image, 80),
    "JPEG, quality 50": lambda image: jpeg(image, 50),
    "JPEG, quality 25": lambda image: jpeg(image, 25),
    "noise of 2 % of the range": lambda image: noisy(image, 5),
    "noise of 4 % of the range": lambda image: noisy(image, 10),
    "gain × 1.2, cut off": lambda image: gained(image, 1.2),
    "gain × 0.8, offset 10": lambda image: gained(image, 0.8, 10),
    "gamma 0.8": lambda image: (255 * (image / 255) ** 0.8).astype(np.uint8),
    "gamma 1.25": lambda image: (255 * (image / 255) ** 1.25).astype(np.uint8),
    "inverted": lambda image: (255 - image).astype(np.uint8),
    "half the size": halved,
    "noise, gain and JPEG": lambda image: jpeg(gained(noisy(image, 5), 1.15), 50),
}
"""Near-copies without cropping: each correlates with its original above 0.97, the inverted ones below -0.97."""
