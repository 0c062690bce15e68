"""Importing what a command needs, with Python's collections of garbage put off meanwhile.

What is imported stays, and there are hundreds of thousands of objects of it. Python walks through all of them each time
that their number has grown by a quarter, and finds nothing: about a tenth of the time to import torch and Flower.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


class Process:
    """Whether this process ends with one command of ours: then what it imports need never be walked through again."""

    ours = False


@contextmanager
def at_once() -> Iterator[None]:
    """Import in this block without collections; in a process of ours later ones leave out what is there by its end.

    In a notebook, or another's programme, they do not: what of it is garbage by then would never be freed.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if Process.ours or not gc.get_freeze_count():  # what another has frozen stays so
            gc.freeze()  # no walk: all that is there goes to the oldest generation, or out of them
            if not Process.ours:
                gc.unfreeze()
        if was_on:
            gc.enable()
