"""A limit for every test: one that hangs fails with the stacks of all threads, and the next one is run.

The limit is raised as a failure where the test waits, so that its ``finally`` and its fixtures end what it started.
Setting up, the test itself and what ends it have a limit each: a ``finally`` that waits for what hangs is cut short
like the test. What no signal reaches, as a wait in C, is left to ``faulthandler_timeout`` (pyproject.toml): it writes
the stacks and ends the process; pytest-xdist starts another. ``tests/conftest.py`` takes all of this in.

pytest-timeout 2.4.0 is not used: it takes its limit away as soon as a test fails, before the fixtures end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

LIMIT_S = 120.0  # of a fast test on a busy machine
SLOW_LIMIT_S = 600.0  # of one that is marked slow, faults or quiet; below pyproject's faulthandler_timeout
AGAIN_S = 60.0  # what ends a test, after its limit has passed

SOME = "WARDROUND_TESTS_STARTED_BY"  # in the environment of what a test starts, and of what that starts
ME = "-".join(filter(None, (os.environ.get("PYTEST_XDIST_TESTRUNUID"), os.environ.get("PYTEST_XDIST_WORKER"))))
ME = ME or f"process-{os.getpid()}"
os.environ[SOME] = ME


@contextmanager
def limited(item: pytest.Item, doing: str) -> Iterator[None]:
    """Let what a test does here fail when its limit has passed."""
    marked = any(item.get_closest_marker(name) for name in ("slow", "faults", "quiet"))
    limit_s = SLOW_LIMIT_S if marked else LIMIT_S

    def fail(*_: object) -> None:
        pytest.fail(f"{doing} took longer than {limit_s:g} seconds{other_stacks()}")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def other_stacks() -> str:
    """Say where every thread but this one is."""
    frames = sys._current_frames()
    others = [each for each in threading.enumerate() if each is not threading.current_thread() and each.ident in frames]
    return "".join(
        f"\n\nThread {each.name}:\n{''.join(traceback.format_stack(frames[each.ident]))}"  # type: ignore[index]
        for each in others
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with limited(item, "what a test starts from"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with limited(item, "a test"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with limited(item, "what ends a test"):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    kill_what_was_started_by(ME)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Kill what a worker of pytest-xdist started that could not end it itself."""
    if error:
        kill_what_was_started_by(f"{node.workerinput['testrunuid']}-{node.gateway.id}")


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """Run a test no second time whose worker it ended: with ``--dist loadfile`` xdist would, eight times."""
    for unit in sched.workqueue.values():
        if crashitem in unit:
            unit[crashitem] = True


def kill_what_was_started_by(whom: str) -> None:
    """Kill every process that was started by these tests and is left, with what it started."""
    mark = f"{SOME}={whom}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or gone
            if mark in (process / "environ").read_bytes().split(b"\0") and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
