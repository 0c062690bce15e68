"""A plug-in's step of preparation, kept from what it may not do to an image, and told as its own where it does.

A step sees one image, or one series. Shape and type stay as they were, what it gives is finite, from 0 to 1 where it
says so, and the same each time. Much rests on the last: prepared images are kept by what they were made of, and in a
private study the images of one patient may change nothing about those of another, or the noise would be too little. It
can be tried and not proved. So steps are tried on noise before anybody approves, in two orders and beside other images,
the second time by code that was imported anew: what was taken from the first image and kept would be the same in both
orders else. And while images are prepared, a piece of the first one is asked again, ever less often, and must come out
the same to the bit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from wardround_common.errors import PluginError
from wardround_common.kinds import kind_of
from wardround_common.plugins.limited import Limited, asked_again
from wardround_common.plugins.loading import imported_anew, loaded
from wardround_common.plugins.names import Named, is_plugin, package_of, part_of
from wardround_common.study.file import Study
from wardround_common.study.steps import Apply, Stated, Values, step_of, versions_of

LIMIT_S = 600.0
"""How long a step may take for one image or slice, or to measure one."""
ASKED_AGAIN = 512
"""Rows and columns, at most, of the piece that is asked again."""
_SEED = 20_261_128


@dataclass(eq=False)
class _First:
    """A piece of the first image that a step was given in this process, and what came of it."""

    piece: Values = field(repr=False)
    made: Values = field(repr=False)
    planes: int = 0


_firsts: dict[str, _First] = {}
_limits: dict[tuple[str, Named | None], Limited] = {}
_lock = threading.Lock()


def fitted(one: Stated, values: Values) -> Apply:
    """Return what a plug-in's step does to an image or series of these values (values,), checked at each plane.

    Raises:
        PluginError: its code fails, does not end, or gives something else than a step does; also when it is applied.
    """
    apply = _fit(one, values)
    return partial(_applied, one, apply)


def try_steps(study: Study) -> None:
    """Try the steps of plug-ins that a study names on noise, each alone: in two orders, and beside other images.

    Raises:
        PluginError: one fails, does not end, or does what no step may.
    """
    for one in study.data.steps:
        if is_plugin(one.step):
            _try(one, [*_noise(study, scaled=step_of(one.step).scaled)])


def _try(one: Stated, images: list[Values]) -> None:
    first = [_made(one, image) for image in images]
    with imported_anew(package_of(one.step)):
        again = [_made(one, image) for image in reversed(images)][::-1]
    for made, other in zip(first, again, strict=True):
        if made.tobytes() != other.tobytes():
            raise _differs(one)
    planes = np.stack([images[0], images[0] / 2, images[0]])  # a series, of which a slice stands twice
    apply = _fit(one, planes.ravel())
    forwards = [_once(one, apply, plane) for plane in planes]
    backwards = [_once(one, apply, plane) for plane in planes[::-1]][::-1]
    if np.stack(forwards).tobytes() != np.stack(backwards).tobytes() or not np.array_equal(forwards[0], forwards[2]):
        raise _differs(one)


def _noise(study: Study, *, scaled: bool) -> Iterator[Values]:
    """Yield images (rows, columns) such as a step may be given: noise of several sizes, and one of a single value."""
    rng = np.random.default_rng(_SEED)
    low, high = (-1000, 3000) if "CT" in study.data.modalities else (0, 255)
    if scaled or study.data.intensity == "window":
        low, high = 0, 1
    for shape in ((24, 17), (32, 48), (24, 17)):
        yield rng.uniform(low, high, shape).astype(np.float32)
    yield np.full((16, 16), low, np.float32)


def _made(one: Stated, image: Values) -> Values:
    return _once(one, _fit(one, image.flatten()), image)


def _fit(one: Stated, values: Values) -> Apply:
    step = step_of(one.step)
    given: Any = _limited(one)(lambda: step.fit(one.settings, values if step.measures else values[:0]))
    if not callable(given):
        raise _fault(one, f"fits to {kind_of(given)}, and not to a function of a plane")
    apply: Apply = given
    return apply


def _applied(one: Stated, apply: Apply, plane: Values) -> Values:
    made = _once(one, apply, plane)
    _ask_again(one, plane)
    return made


def _ask_again(one: Stated, plane: Values) -> None:
    """Ask a piece of the first image again: after 2, 4, 8, … planes."""
    key = f"{one.model_dump_json()}{versions_of([one])}"
    with _lock:
        first = _firsts.get(key)
    if first is None:
        piece = plane[:ASKED_AGAIN, :ASKED_AGAIN].copy()
        first = _First(piece, _made(one, piece))
        with _lock:
            _firsts.setdefault(key, first)
    with _lock:
        first.planes += 1
        due = asked_again(first.planes)
    if due and _made(one, first.piece).tobytes() != first.made.tobytes():
        raise _differs(one)


def _once(one: Stated, apply: Apply, plane: Values) -> Values:
    """Return what is made of a plane (rows, columns), as an array that the plug-in has no hand on."""
    given: Any = _limited(one)(lambda: apply(plane.copy()))
    if not isinstance(given, np.ndarray) or given.shape != plane.shape or given.dtype != np.float32:
        of = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else kind_of(given)
        raise _fault(one, f"gives {of} in place of float32 {plane.shape}", do="Return values.astype(np.float32).")
    made: Values = np.array(given)
    if not np.isfinite(made).all():
        raise _fault(one, "gives what is not finite")
    if step_of(one.step).scales and made.size and not (made.min() >= 0 and made.max() <= 1):
        raise _fault(one, f"says that it scales to 0 and 1, and gives {made.min():.4g} to {made.max():.4g}")
    return made


def _limited(one: Stated) -> Limited:
    key = (one.step, loaded(one.step))
    with _lock:
        if key not in _limits:
            _limits[key] = Limited(f"its step {part_of(one.step)!r}", _where(one), LIMIT_S)
        return _limits[key]


def _differs(one: Stated) -> PluginError:
    return _fault(
        one,
        "makes something else of the same image when it is asked again, or after other images",
        do="Draw nothing at random, and keep nothing between images.",
    )


def _fault(one: Stated, what: str, do: str = "") -> PluginError:
    return PluginError(f"its step {part_of(one.step)!r} {what}", where=_where(one), do=do)


def _where(one: Stated) -> str:
    return f"plug-in {package_of(one.step)}"
