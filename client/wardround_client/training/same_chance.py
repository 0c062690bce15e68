"""Chance that is the same for every record and in every pass, so that a network that draws can be compared with itself.

Dropout, stochastic depth and random masks draw again in each pass, and other numbers for a batch than for one image.
Here every draw varies along one dimension, which is not that of the images, and is the same whenever the same is drawn
again. What is dropped is every other one, and a single one never, so that nothing is hidden behind a draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class SameChance(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own class is untyped
    """While it is entered, torch's draws are the same for every record; whoever enters it restores torch's generator.

    ``images``: how many there are in a batch, so that no draw varies along them, wherever a network has moved them.
    ``seen``: the types of the numbers that were computed meanwhile.
    """

    def __init__(self, images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._images = images
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do one operation of torch, or draw in its place."""
        named = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags:  # type: ignore[attr-defined]  # an operation of torch
            torch.manual_seed(0)
            result = self._draw(func, args, named)
        else:
            result = func(*args, **named)
        found = result if isinstance(result, tuple | list) else (result,)
        self.seen |= {part.dtype for part in found if isinstance(part, torch.Tensor)}
        return result

    def _draw(self, func: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        name = func._schema.name.removeprefix("aten::")  # type: ignore[attr-defined]
        if name in _OF_A_SIZE:
            size = list(args[0])
            return func(self._line(size), *args[1:], **named).expand(size).clone()
        whole = args[0] if args else None
        if not isinstance(whole, torch.Tensor):
            return func(*args, **named)
        if name in ("bernoulli", "bernoulli_"):
            kept = self._every_other(whole)
            return whole.copy_(kept) if name == "bernoulli_" else kept
        if name == "native_dropout":
            kept = self._every_other(whole)
            return whole * kept / max(1 - float(args[1]), 1e-12), kept.to(torch.bool)
        if name == "multinomial" and whole.ndim == 2:
            return func(whole[:1], *args[1:], **named).expand(len(whole), -1).clone()
        if name in _IN_PLACE:
            line = whole.new_empty(self._line(whole.shape))
            return whole.copy_(func(line, *args[1:], **named).expand(whole.shape))
        if name in _LIKE_THEIR_FIRST:
            line = whole.new_empty(self._line(whole.shape))
            return func(line, *args[1:], **named).expand(whole.shape).clone()
        return func(*args, **named)

    def _line(self, size: Sequence[int]) -> list[int]:
        """Return the size of what is drawn: along one dimension, the last that has several and is not the images'."""
        others = (1, self._images)
        along = max((place for place, length in enumerate(size) if length not in others), default=0)
        return [length if place == along and place > 0 else 1 for place, length in enumerate(size)]

    def _every_other(self, whole: torch.Tensor) -> torch.Tensor:
        """Return 1, 0, 1, 0, … along the dimension that draws vary along, in the shape of ``whole``."""
        line = self._line(whole.shape)
        kept = torch.arange(math.prod(line), device=whole.device).view(line) % 2 == 0
        return kept.to(whole.dtype).expand_as(whole).clone()


_OF_A_SIZE = {"rand", "randn"}
_IN_PLACE = {"uniform_", "normal_", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_"}
_LIKE_THEIR_FIRST = {"rand_like", "randn_like", "randint_like"}
