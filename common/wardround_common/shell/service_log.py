"""The log of a service: lines for people, or one JSON object per line for log collectors.

::

    2026-11-21 14:30:00 lung: training · round 3 of 40 is complete
    {"time": "2026-11-21T14:30:00.123Z", "level": "info", "event": "training", "study": "lung", "round": 3,
     "hospital": null, "text": "lung: training · round 3 of 40 is complete"}

Every object has these seven keys and no other. What Python's logging and its warnings tell comes in the same form. A
hospital's log may be collected by others, so that it is *discreet*: of an error it tells the kind and not the text,
which may quote a label, a file or an attribute; of another package's warning only where in the code it arose. The
hospital's own people read the text with ``wardround hospital status``.
"""

from __future__ import annotations

import json
import logging
import math
import re
import shlex
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TextIO

from wardround_common.counting import count
from wardround_common.errors import WardroundError

FIELDS = ("time", "level", "event", "study", "round", "hospital", "text")
OURS = "wardround_"
WARNINGS = "py.warnings"
REPEAT_S = 60.0
MOST_REPEATED = 1000
WHERE_TO_LOOK = "; its text is not logged: wardround hospital status"


class Say(Protocol):
    """Says something that happened, in words; ``event`` is a fixed word for it."""

    def __call__(
        self,
        text: str,
        *,
        event: str = "note",
        level: str = "info",
        study: str | None = None,
        round: int | None = None,  # the log's own field
        hospital: str | None = None,
    ) -> None:
        """Say it."""


class ServiceLog:
    """One service's log.

    ``hospital``: who speaks, if a hospital does. ``discreet``: say of errors and of other packages' warnings no text.
    ``hidden``: paths that no line may name, neither they themselves nor what lies below them; as whole paths, since
    a folder called ``A`` is in many words. A command has DIR in the place of the folder, as documents write it.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        hospital: str | None = None,
        discreet: bool = False,
        hidden: Iterable[Path] = (),
        stream: TextIO | None = None,
    ) -> None:
        self._as_json = as_json
        self._hospital = hospital
        self._discreet = discreet
        self._stream = stream
        self._lock = threading.Lock()
        forms = {str(form) for path in hidden for form in (path.absolute(), path.resolve())}
        longest = sorted(forms | {shlex.quote(form) for form in forms}, key=len, reverse=True)
        self._hidden = re.compile("|".join(rf"{re.escape(p)}(?:/[^\s'\":,;)]*)?" for p in longest) or r"(?!)")

    def say(
        self,
        text: str,
        *,
        event: str = "note",
        level: str = "info",
        study: str | None = None,
        round: int | None = None,  # the log's own field
        hospital: str | None = None,
    ) -> None:
        """Write one line."""
        now = datetime.now(UTC)
        text = self._hidden.sub("[path]", text).replace("--state [path]", "--state DIR")
        if self._as_json:
            time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            values = (time, level, event, study, round, hospital or self._hospital, text)
            line = json.dumps(dict(zip(FIELDS, values, strict=True)), ensure_ascii=False)
        else:
            line = f"{now:%Y-%m-%d %H:%M:%S} {'' if level == 'info' else level + ': '}{text}"
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more, or the disk is full: go on serving
            print(line, file=self._stream or sys.stdout, flush=True)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Take in what Python's logging and its warnings tell from WARNING on, in the place of every other printer."""
        root, handler, before = logging.getLogger(), _Heard(self), warnings.showwarning
        silenced = list(_printers())
        for logger, printer, _ in silenced:
            logger.removeHandler(printer)
            logger.propagate = True
        root.addHandler(handler)
        warnings.showwarning = _told
        try:
            yield
        finally:
            warnings.showwarning = before
            root.removeHandler(handler)
            for logger, printer, propagated in silenced:
                logger.addHandler(printer)
                logger.propagate = propagated

    def words(self, record: logging.LogRecord) -> str:
        """Put one record of Python's logging in words, discreetly if this log is discreet."""
        if not self._discreet:
            crash = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            return f"{record.name}: {record.getMessage()}" + (f"\n{crash.rstrip()}" if crash else "")
        arguments = record.args if isinstance(record.args, tuple) else ()
        if record.name == WARNINGS and arguments:
            return f"{record.name}: {arguments[0]} at {arguments[1]}"
        if not record.name.startswith(OURS):
            at = f"{Path(record.pathname).name}:{record.lineno}"
            return f"{record.name}: {record.levelname.lower()} at {at}{_passed(record)}"
        said = record.msg % tuple(_guarded(value) for value in arguments) if arguments else str(record.msg)
        return f"{record.name}: {said}{_passed(record)}"


class _Heard(logging.Handler):
    """Says what the logging tells; the same again within a minute is counted, so that a flood buries nothing."""

    def __init__(self, log: ServiceLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._monotonic = monotonic
        self._last: dict[str, tuple[float, int]] = {}  # by words: when they were said, and how often not since

    def emit(self, record: logging.LogRecord) -> None:
        try:
            words = self._log.words(record)
            now = self._monotonic()
            said, more = self._last.get(words, (-math.inf, 0))
            if now - said < REPEAT_S:
                self._last[words] = said, more + 1
                return
            self._last = {each: known for each, known in self._last.items() if now - known[0] < REPEAT_S or known[1]}
            while len(self._last) >= MOST_REPEATED:
                del self._last[next(iter(self._last))]
            self._last[words] = now, 0
            often = f" (and {count(more, 'more time')} since it was last said)" if more else ""
            self._log.say(f"{words}{often}", event="log", level=record.levelname.lower())
        except Exception:  # noqa: BLE001  # as every handler of Python's: a log that fails must not end its service
            self.handleError(record)


def _guarded(value: object) -> object:
    """Return what may be said of one argument: of an error its kind, of a number or a word of ours the thing itself."""
    if isinstance(value, WardroundError):
        return f"{value.kind}{WHERE_TO_LOOK}"
    if isinstance(value, BaseException):
        return type(value).__name__
    return value


def _passed(record: logging.LogRecord) -> str:
    """Say of an exception which it was and where in the code it went through; its text may quote anything."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    frames = traceback.extract_tb(record.exc_info[2])
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f" [{record.exc_info[0].__name__} at {places}]"


def _told(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Return a warning of Python's to its logging, with its text apart."""
    logging.getLogger(WARNINGS).warning("%s at %s: %s", category.__name__, f"{Path(filename).name}:{lineno}", message)


def _printers() -> Iterator[tuple[logging.Logger, logging.Handler, bool]]:
    """Find what other packages print their logging with, and whether each hands its records on besides."""
    known = (each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger))
    for logger in (logging.getLogger(), *known):
        for printer in list(logger.handlers):
            if getattr(printer, "stream", None) in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__):
                yield logger, printer, logger.propagate
