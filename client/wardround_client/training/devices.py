"""Which processor computes: chosen by a word, refused with a reason before anything is read, and always named.

``auto`` is the first CUDA card, or else the CPU. The CPU's model is the reference: the same seed gives the same bytes
on any number of cores. A card adds numbers in another order, so its model differs in the last bits of each step. For
nothing else to differ, it computes in float32 throughout (TF32 has ten bits of mantissa: a gradient's norm would not be
the norm that it is clipped by), and by algorithms that repeat themselves where torch has one.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from wardround_common.errors import DeviceError

AUTO, CPU = "auto", "cpu"
WORDS = "auto, cpu, cuda, cuda:1 (the second card) or mps"
_WORD = re.compile(r"auto|cpu|mps|cuda(?::(\d{1,2}))?", re.ASCII)
_DRIVERS = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}


def choose(word: str) -> str:
    """Return the device that a word names: ``cpu``, ``mps``, or ``cuda:0`` and so on.

    torch is imported only where there may be a card.

    Raises:
        DeviceError: it names none, or one that is not here.
    """
    named = _WORD.fullmatch(word)
    if named is None:
        raise DeviceError(f"there is no device {word[:40]!r}", do=f"Name one of: {WORDS}.")
    if word == CPU or (word == AUTO and not _has_driver()):
        return CPU
    import torch

    if word == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("this machine, or this build of torch, has no mps device", do="Name cpu, or auto.")
        return word
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if word == AUTO:
        return "cuda:0" if cards else CPU
    number = int(named[1] or 0)
    if number < cards:
        return f"cuda:{number}"
    raise DeviceError(_why_no_card(word, cards, built=torch.version.cuda is not None), do="Name cpu, or auto.")


def describe(device: str) -> str:
    """Name a device as people know it: ``cpu``, ``mps``, ``cuda:0 (NVIDIA H100)``."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


def make_ready(device: str) -> None:
    """Let this process compute on a device in float32, and repeatably where torch can; before it is first used."""
    if not device.startswith("cuda"):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only with this
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False  # what is fastest is another algorithm each time
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property that torch adds
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")


@contextmanager
def enough_memory() -> Iterator[None]:
    """Say in words that a card's memory did not suffice for what is done within.

    Raises:
        DeviceError: it did not.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise too_small() from None


def too_small() -> DeviceError:
    """Return the error that a card has too little memory."""
    return DeviceError(
        "the card has too little free memory for this study's network and images",
        do="Stop what else uses the card (nvidia-smi lists it), or compute on the CPU: device = 'cpu' in a hospital's "
        "hospital.toml, --device cpu on the command line.",
    )


def _has_driver() -> bool:
    """Look for CUDA's driver, which costs nothing beside importing torch to ask it."""
    library = _DRIVERS.get(sys.platform)
    if library is None:
        return False
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _why_no_card(word: str, cards: int, *, built: bool) -> str:
    if not built:
        return f"{word} cannot be used: this build of torch has no CUDA"
    if not cards:
        return f"{word} cannot be used: no CUDA card is found"
    return f"there is no {word}: {cards} {'card is' if cards == 1 else 'cards are'} found, numbered from 0"
