"""Whose error it is: one that comes out of a plug-in's code is told as the plug-in's, and not as ours."""

from __future__ import annotations

from collections.abc import Iterator
from traceback import walk_tb
from types import FrameType

from wardround_common.errors import PluginError, WardroundError
from wardround_common.plugins.files import Files
from wardround_common.plugins.loading import plugin_of

LONGEST = 300
FAULTS: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""What code of others raises when it fails: also what would end the process, but not Ctrl-C."""
_MEMORY = ("MemoryError", "OutOfMemoryError")


def blamed(error: BaseException) -> PluginError | None:
    """Return an error as that of the plug-in whose code it came through; None if it came through none.

    An error of ours keeps its words, and want of memory is nobody's fault.
    """
    if isinstance(error, WardroundError) or any(kind.__name__ in _MEMORY for kind in type(error).__mro__):
        return None
    if (at := failed_at(error)) is None:
        return None
    (files, place), text = at, " ".join(str(error).split())
    said = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return PluginError(
        f"its code failed at {place}: {type(error).__name__}: {said}",
        where=f"plug-in {files.named.package} {files.named.version}",
        do="Ask whoever wrote the plug-in.",
    )


def failed_at(error: BaseException) -> tuple[Files, str] | None:
    """Return the plug-in whose code an error came through, and where: file, line and function; None for none."""
    for frame, line in reversed(list(_frames(error))):
        if (files := plugin_of(frame.f_globals.get("__name__", ""))) is not None:
            code = frame.f_code
            name = code.co_filename.removeprefix(str(files.root)).lstrip("/\\")
            return files, f"{name}, line {line}, in {code.co_name}"
    return None


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """Yield the frames that an error came through, the innermost last."""
    yield from walk_tb(error.__traceback__)
