"""How long hospitals are waited for: a slow one is not a dead one, and a restart does not start counting again."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from consortium import secure_study
from examples import DP, study
from wardround_common.errors import RoundError
from wardround_common.results import Absence, Headline, RoundRecord
from wardround_server.rounds import muster as muster_module
from wardround_server.rounds.attendance import missing
from wardround_server.rounds.limits import RECONNECT_S, Clock, Limits, can_begin, needed_of
from wardround_server.rounds.muster import muster

HOUR = 3600.0
LIMITS = Limits(deadline_s=24 * HOUR, patience_s=600.0)


def over(kind: str = "train", elapsed: float = 0.0, silence: float = 0.0, answered: int = 3, needed: int = 3) -> object:
    return LIMITS.over(kind, elapsed, silence, answered, 1, needed)


def test_f1_a_slow_hospital_that_is_heard_is_not_declared_dead_before_the_deadline() -> None:
    for kind in ("train", "evaluate", "prepare"):
        assert over(kind, elapsed=23 * HOUR, silence=10.0) is None
        assert over(kind, elapsed=25 * HOUR, silence=10.0) == "late"


def test_a_silent_hospital_is_given_up_after_the_patience_if_enough_have_answered() -> None:
    assert over(elapsed=HOUR, silence=599.0) is None
    assert over(elapsed=HOUR, silence=601.0) == "silent"


def test_f6_a_silent_hospital_without_which_the_round_is_lost_is_waited_for_until_the_deadline() -> None:
    assert over(elapsed=3 * HOUR, silence=2.5 * HOUR, answered=2) is None
    assert over(elapsed=25 * HOUR, silence=2.5 * HOUR, answered=2) == "silent"
    assert over(elapsed=3 * HOUR, silence=2.5 * HOUR, answered=1) == "silent"  # the round is lost in any case


def test_what_opens_a_sum_takes_no_training_and_is_waited_for_only_until_enough_have_answered() -> None:
    for kind in ("confirm", "open"):
        assert over(kind, elapsed=599.0, silence=1.0) is None
        assert over(kind, elapsed=601.0, silence=1.0) == "late"
        assert over(kind, elapsed=HOUR, silence=1.0, answered=2) is None  # nothing could be opened without it
        assert over(kind, elapsed=25 * HOUR, silence=1.0, answered=2) == "late"


def test_a_hospital_that_is_at_work_on_another_study_does_not_hold_up_a_proposal() -> None:
    assert over("propose", elapsed=19.0) is None
    assert over("propose", elapsed=21.0) == "late"
    assert over("propose", elapsed=21.0, silence=31.0) == "silent"


def test_so_many_answers_are_needed_as_open_a_sum_and_have_noise_enough() -> None:
    plain = study(aggregation={"min_hospitals": 2})
    assert [needed_of(plain, kind, 4, 4) for kind in ("train", "evaluate")] == [2, 2]
    assert [needed_of(secure_study(), kind, 5, 5) for kind in ("train", "confirm", "open")] == [4, 4, 4]
    assert needed_of(secure_study(), "confirm", 4, 5) == 4  # of the cohort, not of those that uploaded
    assert needed_of(secure_study(), "train", 3, 5) == 3  # after a crash only the survivors are asked
    privacy = DP | {"trust": "distributed", "sampling_rate": 0.5, "dropouts": 0, "colluders": 1}
    training = {"strategy": "fedavg", "rounds": 2, "batch_size": 8, "optimiser": "sgd", "learning_rate": 0.1}
    sections = {"training": training | {"local_epochs": None}, "privacy": privacy}
    shared = study(aggregation={"secure": True}, **sections)
    assert needed_of(shared, "train", 5, 5) == 5  # nobody may drop out
    assert needed_of(shared, "evaluate", 5, 5) == 4


def test_a_deadline_goes_on_counting_when_the_coordinator_starts_again(tmp_path: Path) -> None:
    wall, mono = 1000.0, 50.0
    clock = Clock(tmp_path / "asked", lambda: wall, lambda: mono)
    assert clock.asked("train", 3, 600.0) == 50.0
    wall, mono = 1200.0, 7.0  # another process: its monotonic clock started again
    assert mono - clock.asked("train", 3, 600.0) == 200.0
    assert mono - clock.asked("train", 4, 600.0) == 0.0  # another round
    assert mono - clock.asked("evaluate", 4, 600.0) == 0.0
    wall = 1250.0
    assert mono - clock.asked("train", 4, 600.0) == 50.0


def test_a_clock_that_was_set_does_not_make_hospitals_late(tmp_path: Path) -> None:
    wall = 1000.0
    clock = Clock(tmp_path / "asked", lambda: wall, lambda: 50.0)
    clock.asked("train", 3, 600.0)
    wall = -1e6
    assert clock.asked("train", 3, 600.0) == 50.0
    wall = 1e9  # or the coordinator was off for long: hospitals have a minute to come back with what they did
    assert 50.0 - clock.asked("train", 3, 600.0) == 600.0 - RECONNECT_S
    (tmp_path / "asked").write_text("{")
    assert clock.asked("train", 3, 600.0) == 50.0
    clock.forget()
    clock.forget()


class There:
    """An exchange of which only is asked who is there."""

    def __init__(self, *days: str) -> None:
        self.days = list(days)

    def hospitals(self) -> list[str]:
        return list(self.days.pop(0) if len(self.days) > 1 else self.days[0])

    def ask(self, kind: str, questions: object) -> object:
        raise NotImplementedError


def wait(there: There, expected: str = "abc", missed: str = "", **aggregation: float) -> list[list[str]]:
    told: list[list[str]] = []
    of = study(aggregation={"min_hospitals": 2} | aggregation)
    muster(of, there, expected, missed, lambda away: told.append(list(away)), Event())  # type: ignore[arg-type]
    return told


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muster_module, "LOOK_S", 0.001)


@pytest.mark.usefixtures("at_once")
def test_a_round_begins_when_all_are_there_and_says_for_whom_it_waits() -> None:
    assert wait(There("a", "a", "ab", "abc")) == [["b", "c"], ["c"]]


@pytest.mark.usefixtures("at_once")
def test_a_hospital_that_was_missing_in_the_last_round_holds_up_no_other() -> None:
    assert wait(There("ab"), missed="c") == []
    assert wait(There("a", "ab"), missed="bc") == [["b", "c"]]  # but one alone is no round


@pytest.mark.usefixtures("at_once")
def test_too_few_hospitals_are_waited_for_until_the_deadline_and_not_for_ever() -> None:
    with pytest.raises(RoundError, match="too few hospitals for a round: 1 of 3; away: b, c"):
        wait(There("a"), deadline_minutes=0.0005)
    assert wait(There("ab"), deadline_minutes=0.0005) == [["c"]]


def test_waiting_for_hospitals_can_be_stopped() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(RoundError, match="stopped while it waited for hospitals"):
        muster(study(), There("a"), "ab", "", lambda away: None, stop)  # type: ignore[arg-type]


def test_a_secure_round_does_not_begin_with_too_few_to_open_its_sum() -> None:
    of = secure_study(min_hospitals=3)
    assert [can_begin(of, count) for count in (2, 3, 4)] == [False, True, True]


NOTHING = Headline(metric="auroc", value=None)


def test_who_was_missing_is_said_with_the_rounds_and_the_reason() -> None:
    def record(number: int, answered: str = "ab", **absent: str) -> RoundRecord:
        absences = tuple(Absence(hospital=name, kind=kind) for name, kind in absent.items())
        empty = {"training_loss": None, "validation_loss": None, "headline": NOTHING}
        sizes = {"seconds": 1.0, "bytes_to_hospitals": 0, "bytes_from_hospitals": 0}
        return RoundRecord(number=number, answered=tuple(answered), absent=absences, **empty, **sizes)  # type: ignore[arg-type]

    history = [record(1), record(2, c="away"), record(3, c="away"), record(4, b="data", c="late"), record(5, "")]
    assert missing(history) == (
        "b was missing in 1 of 5 rounds: 4 (failed: data); "
        "c was missing in 3 of 5 rounds: 2-3 (away); 4 (late); given up: round 5"
    )
    assert missing([record(1), record(2)]) == ""
