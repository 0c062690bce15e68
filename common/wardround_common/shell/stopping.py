"""What a person is told who stops a command with Ctrl-C: what is done, what is kept, and how to continue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

NOTHING_KEPT = "Nothing was written. Run the same command again."


@contextmanager
def stopped_with(words: Callable[[], str]) -> Iterator[None]:
    """Let Ctrl-C say more than that the command was stopped: ``words`` are asked for at that moment.

    The command line prints them after "Stopped." (``cli``). A command that is killed says nothing, and must leave the
    same behind.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(words())
        raise
