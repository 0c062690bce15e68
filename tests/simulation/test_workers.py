"""Jobs in processes: results come back, errors keep their words, a death is an answer and not the end."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from flwr.app import Message, RecordDict

from examples import study
from wardround_common.errors import DataError, ImageRefused, RoundError
from wardround_simulation.federation import Federation, Site
from wardround_simulation.grid import InProcessGrid
from wardround_simulation.jobs import describe
from wardround_simulation.run.phases import work_through
from wardround_simulation.workers import Broke, Died, InThisProcess, Job, Processes, Workers, start_workers


def double(number: int) -> int:
    return 2 * number


def pid_after_a_while(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def interrupts_held() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())


class Large:
    """Something that should not cross to a worker with every job."""

    sent_once = True
    sent = 0

    def __getstate__(self) -> dict[str, int]:
        Large.sent += 1
        return {"number": 21}


def double_of(large: Any) -> int:
    return 2 * int(large.number)


def refuse() -> None:
    raise ImageRefused("too-large", "the file is too large", where="one.dcm", do="Leave it out.")


class Unsendable(Exception):  # noqa: N818
    def __init__(self, what: str, number: int) -> None:
        super().__init__(what)  # so that pickle cannot make it again


def divide_by_nothing() -> float:
    return 1 / len([])


def meet_something_unsendable() -> None:
    raise Unsendable("a graphics card vanished", 7)


def end_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_itself() -> None:
    os._exit(3)


def leave() -> None:
    sys.exit("a part of others' code that leaves")


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


def test_no_process_of_the_workers_is_reached_by_an_interrupt_not_even_while_it_imports(processes: Processes) -> None:
    assert results(processes, [Job(interrupts_held, (), affinity="")]) == [True]  # as the one it was forked from
    assert results(InThisProcess(), [Job(interrupts_held, (), affinity="")]) == [False]


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


def test_what_all_jobs_have_in_common_is_sent_to_a_worker_once(processes: Processes) -> None:
    large = Large()
    assert results(processes, [Job(double_of, (large,), str(number)) for number in range(12)]) == [42] * 12
    assert Large.sent <= processes.count


def test_a_worker_without_work_takes_what_waits_for_another(processes: Processes) -> None:
    """All jobs are about one hospital, which one worker has open."""
    results(processes, [Job(pid_after_a_while, (0.0,), "the one")])
    assert len(set(results(processes, [Job(pid_after_a_while, (0.05,), "the one") for _ in range(8)]))) == 2


def test_a_hospital_stays_the_workers_that_opened_it_whoever_helped_in_a_batch(processes: Processes) -> None:
    _, second = results(processes, [Job(pid_after_a_while, (0.0,), name) for name in ("another", "lent")])
    assert len(set(results(processes, [Job(pid_after_a_while, (0.05,), "lent") for _ in range(8)]))) == 2
    assert results(processes, [Job(pid_after_a_while, (0.0,), "lent")]) == [second]


def test_no_idle_worker_takes_a_job_before_its_own_one_is_queued(processes: Processes) -> None:
    left, right = results(processes, [Job(pid_after_a_while, (0.0,), name) for name in ("left", "right")])
    assert left != right
    for names in (["left", "right"], ["right", "left"]) * 2:
        done = results(processes, [Job(pid_after_a_while, (0.0,), name) for name in names])
        assert dict(zip(names, done, strict=True)) == {"left": left, "right": right}


def test_the_last_job_does_not_wait_for_a_busy_worker_while_another_is_idle(processes: Processes) -> None:
    long, short = results(processes, [Job(pid_after_a_while, (0.0,), name) for name in ("long", "short")])
    jobs = [(0.0, "short"), (1.0, "long"), (0.0, "long")]
    done = results(processes, [Job(pid_after_a_while, (seconds,), name) for seconds, name in jobs])
    assert done == [short, long, short]


def test_a_worker_begins_without_what_few_studies_need() -> None:
    """What every worker imports keeps the first round waiting."""
    modules = ["torch", "scipy.ndimage", "highdicom", "pydicom.sr.codedict", "matplotlib", "monai"]
    fresh = Processes(1)
    try:
        asked = Job(eval, (f"[name for name in {modules} if name in __import__('sys').modules]",), "")
        assert results(fresh, [asked]) == [["torch"]]
    finally:
        fresh.close()


def test_a_job_that_waited_behind_one_that_kills_its_worker_is_done(processes: Processes) -> None:
    jobs = [Job(end_process, (), "x"), *(Job(double, (number,), "x") for number in range(6))]
    assert results(processes, jobs) == [Died(), 0, 2, 4, 6, 8, 10]


def test_a_bug_in_a_job_is_shown_as_itself_and_the_worker_goes_on(processes: Processes) -> None:
    results(processes, [Job(double, (1,), "a")])
    before = processes.process_ids()
    first, second, third = results(
        processes, [Job(divide_by_nothing, (), "a"), Job(meet_something_unsendable, (), "b"), Job(double, (4,), "c")]
    )
    assert third == 8
    assert processes.process_ids() == before
    assert isinstance(first, Broke)
    with pytest.raises(ZeroDivisionError, match="division by zero") as raised:
        first.reraise()
    assert "in divide_by_nothing" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Unsendable: a graphics card vanished"):
        second.reraise()


def test_a_function_that_a_worker_cannot_find_is_that_error_and_the_worker_goes_on(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = ModuleType("nowhere_but_here")
    exec("def lost(): pass", vars(nowhere))  # noqa: S102  # a function whose module only this process has
    monkeypatch.setitem(sys.modules, nowhere.__name__, nowhere)
    lost, after = results(processes, [Job(nowhere.lost, (), "a"), Job(double, (21,), "a")])
    assert isinstance(lost, Broke)
    assert isinstance(lost.error, ModuleNotFoundError)
    assert after == 42


def test_code_that_ends_its_process_is_not_called_want_of_memory(processes: Processes) -> None:
    killed, ended, left = results(processes, [Job(end_process, (), "a"), Job(end_itself, (), "b"), Job(leave, (), "c")])
    assert (killed.how(), killed.killed) == ("was killed, perhaps for lack of memory", True)
    assert (ended.killed, "exit code 3" in ended.how()) == (False, True)
    with pytest.raises(RuntimeError, match="SystemExit: a part of others' code that leaves"):
        left.reraise()


def test_a_bug_in_a_simulation_is_shown_as_itself_and_not_as_want_of_memory(processes: Processes) -> None:
    broken: Any = Federation(study(), (Site("hospital-a", (None,)),))  # type: ignore[arg-type]  # no source of images
    names = ("hospital-a",)
    with pytest.raises(TypeError, match="dataclass instances") as raised:
        list(
            work_through(
                processes, "preparing", names, lambda name: Job(describe, (broken, name), name), lambda _: None
            )
        )
    assert "worker process" in raised.value.__notes__[0]


def test_a_bug_while_a_hospital_answers_ends_the_run_as_itself(processes: Processes) -> None:
    broken: Any = Federation(study(), (Site("hospital-a", (None,)),))  # type: ignore[arg-type]
    grid = InProcessGrid(broken, {1000: "hospital-a"}, processes)
    question = Message(RecordDict(), dst_node_id=1000, message_type="query.prepare")
    with pytest.raises(TypeError, match="dataclass instances"):
        grid.send_and_receive([question])


def test_no_workers_cannot_do_anything() -> None:
    with pytest.raises(RoundError, match="0 workers"):
        start_workers(0)


def test_nothing_that_a_federation_computed_crosses_to_another_process() -> None:
    """A hash is another one there, and what was computed is large."""
    federation = Federation(study(), (Site("a", ()), Site("b", ())))
    assert hash(federation) == hash(Federation(study(), (Site("a", ()), Site("b", ()))))
    assert set(federation.roster.keys) == {"a", "b"}
    crossed = pickle.loads(pickle.dumps(federation))  # noqa: S301
    assert crossed == federation
    assert set(vars(crossed)) == {"study", "sites", "desks", "ledgers", "policy", "device", "start", "kept", "weights"}
