"""Code of a plug-in, called with a limit of time: its errors are told as its own, and what hangs is not waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from wardround_common.errors import PluginError
from wardround_common.plugins.blame import LONGEST, blamed

T = TypeVar("T")


def asked_again(number: int) -> bool:
    """Tell whether code is compared with what it said before, when it is called for the ``number``-th time.

    That is 2, 4, 8, …: soon at first, and seldom enough that it costs little.
    """
    return number > 1 and number & (number - 1) == 0


class Limited:
    """Calls one part of a plug-in, each time in a thread of its own; a call that does not end is the last one.

    A thread cannot be ended: what hangs goes on beside what waits no longer, until the process ends.
    """

    def __init__(self, what: str, where: str, limit_s: float) -> None:
        self._what, self._where, self._limit_s = what, where, limit_s
        self.stuck = False
        """Whether a call did not end in time."""

    def __call__(self, act: Callable[[], T]) -> T:
        """Return what its code gives.

        Raises:
            PluginError: it failed, did not end in time, or has not ended since an earlier call.
            MemoryError: there is not enough memory, which is not its fault.
        """
        if self.stuck:
            raise PluginError(f"{self._what} has not ended since, and is not called again", where=self._where)
        given: list[T] = []
        raised: list[BaseException] = []

        def try_it() -> None:
            try:
                given.append(act())
            except BaseException as error:  # noqa: BLE001  # in a thread Ctrl-C is none, and asyncio's cancelling is
                raised.append(error)

        thread = threading.Thread(target=try_it, name=self._what, daemon=True)
        thread.start()
        thread.join(self._limit_s)
        if thread.is_alive():
            self.stuck = True
            raise PluginError(f"{self._what} did not end within {self._limit_s:g} s", where=self._where)
        if raised:
            raise self._told(raised[0]) from raised[0]
        return given[0]

    def _told(self, error: Any) -> BaseException:
        if isinstance(error, PluginError | MemoryError):
            return error
        said = " ".join(str(error).split())[:LONGEST]
        failed = f"{self._what} failed: {type(error).__name__}: {said}"
        return blamed(error) or PluginError(failed, where=self._where)
