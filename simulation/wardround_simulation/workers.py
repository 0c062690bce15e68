"""Jobs in worker processes, or in this one: a job that dies loses only its own answer."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.forkserver import ensure_running
from queue import Queue
from threading import Thread
from typing import Any, NoReturn, Protocol

from wardround_common.errors import RoundError, WardroundError
from wardround_common.plugins.blame import FAULTS, blamed
from wardround_common.registry import Brought, bring

# Imported once, in the process that every worker is forked from.
PRELOADED = ["wardround_simulation.preloaded"]
AHEAD = 2
"""Jobs that a worker has at a time: the one that it does, and the next one."""


@dataclass(frozen=True)
class Died:
    """The process that did the job ended before it answered."""

    code: int | None = field(default=None, compare=False)
    """Its exit code, or the negative of the signal that ended it; None if that is not known."""

    @property
    def killed(self) -> bool:
        """Whether the system or a person ended it, as far as is known."""
        return self.code in (None, -signal.SIGKILL, -signal.SIGTERM)

    def how(self) -> str:
        """Say how it ended, after "the process"."""
        if self.code is None or self.killed:
            return "was killed, perhaps for lack of memory"
        if self.code < 0:
            return f"was ended by signal {-self.code}, which a fault in compiled code sends"
        return f"ended itself with exit code {self.code}, which is none of ours: code that it ran did"


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


@dataclass(frozen=True)
class _Held:
    """An argument that a worker has, or is sent here: it keeps it, and its caller's object is not sent again."""

    number: int
    value: Any = None


@dataclass(eq=False)
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    own: deque[tuple[int, Job]] = field(default_factory=deque)
    """Jobs about its hospitals, which it has open; others take one only when they have nothing else to do."""
    sent: deque[tuple[int, Job]] = field(default_factory=deque)
    """What it does, and what it does next without waiting for us."""
    holds: set[int] = field(default_factory=set)


class Processes:
    """Several workers: processes forked from one that has imported everything.

    A hospital's jobs go to the worker that opened it first. Once all jobs of a batch are queued, a worker with nothing
    to do takes one of those that wait for another; the hospital stays the other's, so that a batch of short jobs does
    not leave the next one unevenly dealt. Which worker does a job changes no result: a hospital's randomness comes from
    seed and name.
    """

    def __init__(self, count: int, brought: tuple[Brought, ...] = ()) -> None:
        self._brought = brought
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._new: deque[tuple[int, Job]] = deque()  # about hospitals that nobody has open
        self._owner: dict[str, _Worker] = {}
        self._held: dict[int, tuple[int, Any]] = {}  # by the object's id, which is its own while we have it
        self._number = 0
        self.count = count
        self._workers: list[_Worker] = []
        with _without_interrupts():
            ensure_running()  # imports what is preloaded, while the caller continues its own work

    def submit(self, job: Job) -> int:
        """Queue a job and start it if its worker is idle, or if it is nobody's yet and any worker is."""
        while len(self._workers) < self.count:
            self._workers.append(self._start())
        self._number += 1
        owner = self._owner.get(job.affinity)
        (owner.own if owner else self._new).append((self._number, job))
        self._hand_out(steal=False)  # the next job that is queued may be the idle worker's own
        return self._number

    def done(self) -> Iterator[tuple[int, Any]]:
        """Wait for results; a worker that died is replaced."""
        self._hand_out()
        busy = [worker for worker in self._workers if worker.sent]
        if not busy:
            return
        ready = wait([worker.pipe for worker in busy] + [worker.process.sentinel for worker in busy])
        for worker in busy:
            if worker.pipe not in ready and worker.process.sentinel not in ready:
                continue
            number, _ = worker.sent[0]
            try:
                result = worker.pipe.recv()
                worker.sent.popleft()
            except (EOFError, OSError):
                worker.process.join()
                result = Died(worker.process.exitcode)
                self._replace(worker)
            self._hand_out()
            yield number, result

    def close(self) -> None:
        """End the workers immediately; what they keep on disk is written whole or not at all."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
            worker.own.clear()
        self._new.clear()
        self._held.clear()

    def process_ids(self) -> list[int]:
        """Name the workers' processes to the operating system, so that a test can end one."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._brought), daemon=True)
        with _without_main():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, worker: _Worker) -> None:
        """Start a worker in the place of one that died; it loses what it was doing, and no job that waited."""
        worker.process.join()
        worker.pipe.close()
        fresh = self._start()
        fresh.own.extend([*worker.sent][1:])
        fresh.own.extend(worker.own)
        self._owner = {name: fresh if of is worker else of for name, of in self._owner.items()}
        self._workers[self._workers.index(worker)] = fresh

    def _hand_out(self, *, steal: bool = True) -> None:
        """Hand every worker a job, and another to do next, so that it never waits for us.

        The last jobs, one for each worker but one, stay here until a worker has nothing to do: sent ahead to one that
        is busy they would leave another idle until the end of the batch.
        """
        for worker in self._workers:
            if not worker.sent and (taken := self._next(worker)):
                self._send(worker, *taken)
        for worker in self._workers if steal else ():
            most = max(self._workers, key=lambda other: len(other.own))
            if not worker.sent and most.own:
                self._send(worker, *most.own.pop())
        for worker in self._workers:
            while (
                0 < len(worker.sent) < AHEAD
                and len(self._new) + sum(len(other.own) for other in self._workers) >= self.count
                and (taken := self._next(worker))
            ):
                self._send(worker, *taken)

    def _send(self, worker: _Worker, number: int, job: Job) -> None:
        worker.sent.append((number, job))
        self._owner.setdefault(job.affinity, worker)
        with suppress(OSError):  # it died meanwhile: ``done`` will see that
            worker.pipe.send(self._packed(worker, job))

    def _next(self, worker: _Worker) -> tuple[int, Job] | None:
        for waiting in (worker.own, self._new):
            if waiting:
                return waiting.popleft()
        return None

    def _packed(self, worker: _Worker, job: Job) -> Job:
        return replace(job, arguments=tuple(self._once(worker, one) for one in job.arguments))

    def _once(self, worker: _Worker, argument: Any) -> Any:
        if not getattr(argument, "sent_once", False):
            return argument
        number, _ = self._held.setdefault(id(argument), (len(self._held), argument))
        if number in worker.holds:
            return _Held(number)
        worker.holds.add(number)
        return _Held(number, argument)


def start_workers(count: int, brought: tuple[Brought, ...] = ()) -> Workers:
    """Start a number of workers, which have the researcher's own code that is ``brought``; one is this process."""
    if count < 1:
        raise RoundError(f"{count} workers are not enough", do="Ask for one or more with --workers.")
    return InThisProcess() if count == 1 else Processes(count, brought)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a new process from running the caller's script again: no job needs it, and it would start its own run."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
    main.__spec__ = None
    if "__file__" in kept:
        del main.__file__
    try:
        yield
    finally:
        vars(main).update(kept)


def _result(job: Job) -> object:
    try:
        return job.function(*job.arguments)
    except WardroundError as error:
        return error
    except FAULTS as error:
        if told := blamed(error):
            return told
        raise


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach: it would print a traceback while it still imports.

    A Ctrl-C of meanwhile reaches this process afterwards.
    """
    resource_tracker.ensure_running()  # which lets interrupts through when it starts, and is started by what we start
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, brought: tuple[Brought, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us, which ends us
    bring(brought)
    waiting: Queue[Job | Broke | None] = Queue()
    # Jobs are taken from the pipe while one is done: who sends the next one never waits for us.
    Thread(target=_receive, args=(pipe, waiting), daemon=True).start()
    with suppress(EOFError, OSError):
        while (job := waiting.get()) is not None:
            pipe.send(job if isinstance(job, Broke) else _result_or_bug(job))


def _receive(pipe: Connection, waiting: Queue[Job | Broke | None]) -> None:
    held: dict[int, Any] = {}
    try:
        with suppress(EOFError, OSError):
            while True:
                try:
                    job = pipe.recv()
                except (AttributeError, ImportError) as error:  # of a function that this process cannot find
                    waiting.put(Broke(error, traceback.format_exc()))
                    continue
                for one in job.arguments:
                    if isinstance(one, _Held) and one.value is not None:
                        held[one.number] = one.value
                arguments = (held[one.number] if isinstance(one, _Held) else one for one in job.arguments)
                waiting.put(replace(job, arguments=tuple(arguments)))
    finally:
        waiting.put(None)  # whatever ended it: a worker that hears nothing more ends


def _result_or_bug(job: Job) -> object:
    try:
        return _result(job)
    except FAULTS as error:  # a bug must crash the process that people see, which is not this one
        return Broke(_that_pickles(error), traceback.format_exc())


def _that_pickles(error: BaseException) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes: an error may be written and not read again
    except Exception:  # noqa: BLE001  # whatever its own code raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
