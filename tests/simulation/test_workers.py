"""Jobs in processes: results come back, errors keep their words, a death is an answer and not the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from wardround_common.errors import DataError, ImageRefused, RoundError
from wardround_simulation.workers import Died, InThisProcess, Job, Processes, Workers, start_workers


def double(number: int) -> int:
    return 2 * number


def refuse() -> None:
    raise ImageRefused("too-large", "the file is too large", where="one.dcm", do="Leave it out.")


def end_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    workers = Processes(2)
    yield workers
    workers.close()


def results(workers: Workers, jobs: list[Job]) -> list[Any]:
    numbers = [workers.submit(job) for job in jobs]
    found: dict[int, Any] = {}
    while len(found) < len(jobs):
        found.update(workers.done())
    return [found[number] for number in numbers]


def test_every_job_has_its_own_result(processes: Processes) -> None:
    jobs = [Job(double, (number,), affinity=str(number % 3)) for number in range(20)]
    assert results(processes, jobs) == [2 * number for number in range(20)] == results(InThisProcess(), jobs)


@pytest.mark.parametrize("crew", [InThisProcess, lambda: None])
def test_an_error_crosses_the_process_border_whole(processes: Processes, crew: Any) -> None:
    error = results(crew() or processes, [Job(refuse, (), affinity="")])[0]
    assert isinstance(error, ImageRefused)
    assert isinstance(error, DataError)
    assert str(error) == "one.dcm: the file is too large\n  → Leave it out."
    assert error.reason == "too-large"


def test_a_worker_that_dies_costs_its_own_job_and_is_replaced(processes: Processes) -> None:
    results(processes, [Job(double, (1,), "a")])  # they start with the first job
    before = processes.process_ids()
    jobs = [Job(double, (1,), "a"), Job(end_process, (), "b"), Job(double, (2,), "c"), Job(double, (3,), "d")]
    assert results(processes, jobs) == [2, Died(), 4, 6]
    assert len(set(processes.process_ids()) - set(before)) == 1


def test_no_workers_cannot_do_anything() -> None:
    with pytest.raises(RoundError, match="0 workers"):
        start_workers(0)
