"""Jobs in worker processes, or in this one: a job that dies loses only its own answer."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.forkserver import ensure_running
from typing import Any, NoReturn, Protocol

from wardround_common.errors import RoundError, WardroundError

# Imported once, in the process that every worker is forked from.
PRELOADED = ["torch", "wardround_simulation.jobs"]


@dataclass(frozen=True)
class Died:
    """The process that did the job ended before it answered."""


@dataclass(frozen=True)
class Broke:
    """The job met a bug: an error that is none of ours. The worker that did it goes on."""

    error: Exception
    trace: str
    """The traceback, as the worker's own process would have printed it."""

    def reraise(self) -> NoReturn:
        """Raise the error as it was, with the worker's traceback below it."""
        self.error.add_note(f"In the worker process:\n{self.trace}")
        raise self.error


@dataclass(frozen=True)
class Job:
    """A function of the top level of a module and its arguments; both must survive pickling."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    affinity: str
    """Jobs about the same hospital go to a worker that has it open, where one is free."""


class Workers(Protocol):
    """Where jobs are done."""

    @property
    def count(self) -> int:
        """How many jobs are done at a time."""

    def submit(self, job: Job) -> int:
        """Queue a job and give its number."""

    def done(self) -> Iterator[tuple[int, Any]]:
        """Wait for at least one queued job if there is any, and give number and result of those that are done.

        A result may be a :class:`WardroundError`, to be raised or not, :class:`Broke` or :class:`Died`.
        """

    def close(self) -> None:
        """End the workers and what they do."""


class InThisProcess:
    """One worker: the process itself."""

    count = 1

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Job]] = deque()
        self._number = 0

    def submit(self, job: Job) -> int:
        """Queue a job."""
        self._number += 1
        self._queue.append((self._number, job))
        return self._number

    def done(self) -> Iterator[tuple[int, Any]]:
        """Do the next job."""
        if self._queue:
            number, job = self._queue.popleft()
            yield number, _result(job)

    def close(self) -> None:
        """Forget what is queued."""
        self._queue.clear()


@dataclass(eq=False)
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    busy: int | None = None
    seen: set[str] = field(default_factory=set)


class Processes:
    """Several workers: processes forked from one that has imported everything."""

    def __init__(self, count: int) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._queue: deque[tuple[int, Job]] = deque()
        self._number = 0
        self.count = count
        self._workers: list[_Worker] = []
        ensure_running()  # imports what is preloaded, while the caller goes on with its own work

    def submit(self, job: Job) -> int:
        """Queue a job and start it if a worker is idle."""
        while len(self._workers) < self.count:
            self._workers.append(self._start())
        self._number += 1
        self._queue.append((self._number, job))
        self._hand_out()
        return self._number

    def done(self) -> Iterator[tuple[int, Any]]:
        """Wait for results; a worker that died is replaced."""
        busy = [worker for worker in self._workers if worker.busy is not None]
        if not busy:
            return
        ready = wait([worker.pipe for worker in busy] + [worker.process.sentinel for worker in busy])
        for worker in busy:
            if worker.pipe not in ready and worker.process.sentinel not in ready:
                continue
            number = worker.busy
            if number is None:
                continue
            try:
                result = worker.pipe.recv()
                worker.busy = None
            except (EOFError, OSError):
                result = Died()
                worker.process.join()
                worker.pipe.close()
                self._workers[self._workers.index(worker)] = self._start()
            self._hand_out()
            yield number, result

    def close(self) -> None:
        """End the workers immediately; what they keep on disk is written whole or not at all."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self._queue.clear()

    def process_ids(self) -> list[int]:
        """Name the workers' processes to the operating system, so that a test can end one."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.busy is None and self._queue:
                number, job = self._queue[self._choose(worker)]
                self._queue.remove((number, job))
                worker.busy = number
                worker.seen.add(job.affinity)
                with suppress(OSError):  # it died meanwhile: ``done`` will see that
                    worker.pipe.send(job)

    def _choose(self, worker: _Worker) -> int:
        known = set().union(*(other.seen for other in self._workers))
        for place, (_, job) in enumerate(self._queue):
            if job.affinity in worker.seen or job.affinity not in known:
                return place
        return 0


def start_workers(count: int) -> Workers:
    """Start a number of workers; one is this process itself."""
    if count < 1:
        raise RoundError(f"{count} workers are not enough", do="Ask for one or more with --workers.")
    return InThisProcess() if count == 1 else Processes(count)


def _result(job: Job) -> object:
    try:
        return job.function(*job.arguments)
    except WardroundError as error:
        return error


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us, which ends us
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_result_or_bug(pipe.recv()))


def _result_or_bug(job: Job) -> object:
    try:
        return _result(job)
    except Exception as error:  # noqa: BLE001  # a bug must crash the process that people see, which is not this one
        return Broke(_that_pickles(error), traceback.format_exc())


def _that_pickles(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes: an error may be written and not read again
    except Exception:  # noqa: BLE001  # whatever its own code raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
