"""A ledger that is lost or older than what was spent: nothing is trained, and no way back lowers what anybody spent."""

from __future__ import annotations

import random
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from examples import DP
from examples import study as noised_study
from ledgers import EVENT, verified
from lived import NOW, Lived, named
from wardround_client.hospital.hospital_audit import hospital_log
from wardround_client.hospital.joining import begin, replace_keys
from wardround_client.hospital.recovery import plan_rebuild
from wardround_client.spending.account import Account, Ask, approve
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.past import BEGINNING, BEHIND, note_behind
from wardround_client.spending.ledger.patients import KEY_NAME
from wardround_client.spending.ledger.store import HEAD_NAME, LEDGER_NAME, existing_ledger, open_ledger
from wardround_client.spending.ledger.told import Bound, Note, Told, bound
from wardround_client.spending.parts import part_of, parts_of
from wardround_client.spending.policy import DEFAULT_DELTA
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.training.accounting import epsilon_of
from wardround_common.audit.entries import read_line
from wardround_common.audit.log import lines
from wardround_common.audit.passage import COORDINATOR, Passage
from wardround_common.audit.recorder import Recorder
from wardround_common.errors import PrivacyError, StorageError
from wardround_common.randomness import insecure_stream
from wardround_common.storage import alone_in
from wardround_common.study.file import Study

NOISED: dict[str, Any] = {"privacy": DP | {"evaluation_epsilon": 2.0}, "aggregation": {"secure": True}}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Return a hospital that trained three rounds, of which a copy was made after the first; and another hospital."""
    lived = Lived(tmp_path_factory.mktemp("lived") / "mercy")
    lived.approve(named("first"))
    lived.train(named("first"), 1)
    lived.copy("older")
    lived.train(named("first"), 2, 3)
    lived.copy("whole")
    other = Lived(lived.place / "other")
    other.approve(named("first"))
    other.train(named("first"), 1, 2, 3)
    return lived


@pytest.fixture
def lived(once: Lived, tmp_path: Path) -> Lived:
    shutil.copytree(once.place, tmp_path / "mercy")
    fresh = object.__new__(Lived)
    fresh.place, fresh.folder = tmp_path / "mercy", HospitalFolder(tmp_path / "mercy" / "state")
    return fresh


def remove(*names: str) -> Callable[[Lived], None]:
    def change(lived: Lived) -> None:
        for name in names:
            path = lived.state / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def put(source: str, *names: str) -> Callable[[Lived], None]:
    def change(lived: Lived) -> None:
        for name in names:
            shutil.copy2(lived.place / source / name, lived.state / name)

    return change


def both(*changes: Callable[[Lived], None]) -> Callable[[Lived], None]:
    def change(lived: Lived) -> None:
        for one in changes:
            one(lived)

    return change


def empty(lived: Lived) -> None:
    (lived.state / LEDGER_NAME).write_bytes(b"")


OTHER = "other/state"
LOSSES: dict[str, tuple[Callable[[Lived], None], str]] = {
    "ledger and head": (
        remove(LEDGER_NAME, HEAD_NAME),
        "the ledger is missing, although there was one: patients.key is there",
    ),
    "ledger, head, key": (remove(LEDGER_NAME, HEAD_NAME, KEY_NAME), "audit log records approved studies"),
    "ledger, head, log": (remove(LEDGER_NAME, HEAD_NAME, "audit"), "patients.key is there"),
    "ledger, head, key, log": (remove(LEDGER_NAME, HEAD_NAME, KEY_NAME, "audit"), "secrets of studies"),
    "ledger, head, key, studies": (remove(LEDGER_NAME, HEAD_NAME, KEY_NAME, "studies"), "audit log records"),
    "ledger": (remove(LEDGER_NAME), "emptied, or it or its head was removed"),
    "head": (remove(HEAD_NAME), "emptied, or it or its head was removed"),
    "key": (remove(KEY_NAME), "the key of the ledger's patients is gone"),
    "an emptied ledger": (empty, "emptied, or it or its head was removed"),
    "an emptied ledger without head": (both(empty, remove(HEAD_NAME)), "the ledger is missing, although there was one"),
    "key of another hospital": (put(OTHER, KEY_NAME), "is not the one that this ledger began with"),
    "older ledger and head": (put("older", LEDGER_NAME, HEAD_NAME), "older than the audit log .* 2 answered rounds"),
    "older ledger, newer head": (put("older", LEDGER_NAME), "ends with entry 4, and its head says that there were 8"),
    "newer ledger, older head, older log": (put("older", HEAD_NAME), ""),
    "ledger of another hospital": (put(OTHER, LEDGER_NAME, HEAD_NAME), "is not signed by this hospital"),
    "ledger, head and key of another": (put(OTHER, LEDGER_NAME, HEAD_NAME, KEY_NAME), "not signed by this hospital"),
    "head of another hospital": (put(OTHER, HEAD_NAME), "head of the ledger is not signed by this hospital"),
}
LOST = [name for name, (_, said) in LOSSES.items() if said]


@pytest.mark.parametrize("loss", LOST)
def test_whatever_is_lost_of_a_ledger_none_begins_anew_and_nothing_is_trained(lived: Lived, loss: str) -> None:
    lose, said = LOSSES[loss]
    lose(lived)
    before = {path.name: path.read_bytes() for path in lived.state.glob("ledger.*")}
    for look in (open_ledger, existing_ledger):
        with pytest.raises(StorageError, match=said):
            look(lived.state, lived.folder.identity())
    with pytest.raises(StorageError):
        lived.train(named("first"), 4)
    for command in (("budget",), ("ledger", "verify"), ("ledger", "head"), ("statement", "first")):
        assert isinstance(lived.run(*command).exception, StorageError), command
    assert {path.name: path.read_bytes() for path in lived.state.glob("ledger.*")} == before


def test_a_ledger_without_the_charge_of_a_sum_that_was_answered_before_the_first_round_is_found(lived: Lived) -> None:
    study = named("noisy")
    lived.approve(study, before=EVENT)
    lived.copy("approved")
    lived.train(study, 0, before=EVENT)
    assert lived.ledger().books.rounds_of(study.digest()) == []
    put("approved", LEDGER_NAME, HEAD_NAME)(lived)
    with pytest.raises(StorageError, match=r"older than the audit log .* 1 answered round of study"):
        lived.ledger()


def judge(lived: Lived, study: Study, *rounds: int) -> None:
    """Take part with those on whom the model is judged with noise, and answer evaluations over them."""
    ledger, log = lived.ledger(), hospital_log(lived.folder)
    asked = Ask(study, EVENT, ledger.key.cohort(("v",)), "data", 1, split="validation")
    approve(asked, ledger, None)
    account = Account(ledger, None, asked, lambda charge: log.note("round charged", charge.facts()))
    for number in rounds:
        account.charge(number, "parameters", insecure_stream(number, "a test"))
        name = f"{study.digest()[:32]}{number:032x}"
        Recorder(log)(Passage("out", COORDINATOR, "evaluate", name, 9, name, study.digest(), number))
        account.confirm(number)


def test_a_ledger_without_the_charge_of_an_evaluation_with_noise_is_found_and_the_study_ends_whole(
    tmp_path: Path,
) -> None:
    lived, study = Lived(tmp_path / "h"), noised_study(**NOISED)
    judge(lived, study)
    lived.approve(study)
    lived.train(study, 1)
    lived.copy("trained")
    judge(lived, study, 1)
    validation = part_of(study.digest(), "validation")
    assert lived.ledger().books.rounds_of(validation) == [1]
    assert "1 evaluation charged, 1 confirmed" in lived.well(
        "statement", "test (validation)", "--out", tmp_path / "v.statement"
    )
    put("trained", LEDGER_NAME, HEAD_NAME)(lived)
    with pytest.raises(StorageError, match=f"older than the audit log .* 1 answered round of study {validation[:12]}"):
        lived.ledger()
    lived.well("ledger", "rebuild", "--yes")
    books = lived.ledger().books
    assert books.ended == {one[:12] for one in parts_of(study.digest())}
    assert books.open_studies() == []
    assert books.carried_epsilon > 0


def test_an_audit_log_that_tells_of_an_approval_alone_keeps_another_ledger_from_beginning(tmp_path: Path) -> None:
    """A round may have been charged and be at work: no answer went out yet."""
    lived = Lived(tmp_path / "h")
    lived.approve(named("first"))
    remove(LEDGER_NAME, HEAD_NAME, KEY_NAME, "studies")(lived)
    with pytest.raises(StorageError, match="the audit log records approved studies"):
        lived.ledger()


def test_a_ledger_without_an_approval_that_the_audit_log_records_is_found(lived: Lived) -> None:
    lived.copy("before")
    lived.approve(named("second"))
    put("before", LEDGER_NAME, HEAD_NAME)(lived)
    with pytest.raises(StorageError, match=f"records the approval of study {named('second').digest()[:12]}"):
        lived.ledger()


def test_an_answer_that_a_round_failed_is_no_charge_that_a_ledger_must_know(lived: Lived) -> None:
    digest = named("first").digest()
    failed = Passage("out", COORDINATOR, "train", "a" * 64, 9, "a" * 64, digest, 4, "privacy")
    Recorder(hospital_log(lived.folder))(failed)
    assert lived.ledger().books.rounds_of(digest) == [1, 2, 3]


def test_a_sum_before_the_first_round_that_cost_nothing_is_not_missed(lived: Lived) -> None:
    study = named("first")
    sent = Passage("out", COORDINATOR, "evaluate", "f" * 64, 9, "f" * 64, study.digest(), 0)
    Recorder(hospital_log(lived.folder))(sent)
    assert lived.ledger().books.rounds_of(study.digest()) == [1, 2, 3]


def test_a_head_that_a_crash_left_behind_its_ledger_is_no_loss(lived: Lived) -> None:
    LOSSES["newer ledger, older head, older log"][0](lived)
    assert lived.ledger().books.rounds_of(named("first").digest()) == [1, 2, 3]


@pytest.mark.parametrize("loss", LOST)
def test_a_verified_copy_brings_back_what_was_spent(lived: Lived, once: Lived, loss: str) -> None:
    LOSSES[loss][0](lived)
    there = [path for name in (LEDGER_NAME, HEAD_NAME, KEY_NAME) if (path := lived.state / name).exists()]
    before = {path.name: path.read_bytes() for path in there}
    said = lived.well("ledger", "restore", lived.place / "whole")
    kept = {path.name: path.read_bytes() for path in lived.folder.replaced.glob("*/*")}
    assert before.items() <= kept.items()  # whatever they were, they may be all that tells of a later charge
    assert "Restored the ledger: 8 entries" in said
    assert "does not record" not in said
    assert lived.spent() == once.spent()
    assert verified(lived.state, lived.folder.identity()).faults == ()
    lived.approve(named("second"))
    lived.train(named("second"), 1)


# Half a second each: one of each kind, and the others among the slow tests.
ONE_OF_EACH = ("ledger and head", "ledger, head, key, studies", "an emptied ledger", "older ledger and head")


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(name, marks=[] if name in ONE_OF_EACH else pytest.mark.slow, id=name)
        for name in LOST
        if "log" not in name
    ],
)
def test_rebuilt_from_the_audit_log_nobody_has_spent_less_than_they_did(lived: Lived, once: Lived, loss: str) -> None:
    LOSSES[loss][0](lived)
    assert lived.run("ledger", "rebuild").exception is not None  # it asks first
    with pytest.raises(StorageError):
        open_ledger(lived.state, lived.folder.identity())
    lived.well("ledger", "rebuild", "--yes")
    assert {stat.S_IMODE(path.stat().st_mode) for path in lived.state.glob(f"{LEDGER_NAME}*")} == {0o600}
    assert lived.spent() >= once.spent() - 1e-6
    assert lived.spent() == pytest.approx(once.spent(), rel=1e-4)
    assert verified(lived.state, lived.folder.identity()).faults == ()
    assert "intact" in lived.well("ledger", "verify")
    said = [read_line(line).what for line in lines(lived.folder.audit)]
    assert said[-2:] == ["ledger rebuilt", "study withdrawn"] or (loss == "ledger, head, key, studies" and said[-1:])
    with pytest.raises(PrivacyError, match="has ended here"):  # its noise would be drawn twice
        lived.approve(named("first"))
    statement = lived.run("statement", "first").exception
    assert isinstance(statement, PrivacyError)
    before = lived.spent()
    lived.approve(named("second"), ("somebody", "new"))  # every patient of this hospital is charged
    lived.train(named("second"), 1, patients=("somebody", "new"))
    assert lived.spent() > before
    assert isinstance(lived.run("ledger", "rebuild", "--yes").exception, StorageError)  # nothing is left to be done


@pytest.mark.parametrize("loss", ["ledger and head", "older copy"])
def test_each_time_that_a_ledger_is_rebuilt_deltas_add_up_as_epsilons_do(lived: Lived, loss: str) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    lived.well("ledger", "rebuild", "--yes")
    assert lived.ledger().books.carried_delta == DEFAULT_DELTA
    lived.approve(named("second"))
    lived.train(named("second"), 1)
    copy, spent = lived.copy("after"), lived.spent()
    lived.train(named("second"), 2)
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    if loss == "older copy":
        lived.well("ledger", "restore", copy)
    lived.well("ledger", "rebuild", "--yes")
    carried = lived.ledger().books.carried
    assert carried is not None
    assert carried.epsilon is not None
    assert (carried.epsilon > spent, carried.delta) == (True, pytest.approx(2 * DEFAULT_DELTA))


def test_a_ledger_that_carries_something_and_was_rolled_back_then_carries_both_deltas(lived: Lived) -> None:
    lived.ledger().carry(Bound(3.0, DEFAULT_DELTA), [], [])
    note_behind(lived.state, "a later head")
    lived.well("ledger", "rebuild", "--yes", "--at-least", "50")
    carried = lived.ledger().books.carried
    assert carried is not None
    assert (carried.epsilon, carried.delta) == (50.0, pytest.approx(2 * DEFAULT_DELTA))


def test_without_an_audit_log_the_hospital_must_say_what_nobody_has_exceeded(lived: Lived) -> None:
    remove(LEDGER_NAME, HEAD_NAME, "audit")(lived)
    with pytest.raises(StorageError, match="no audit log to rebuild"):
        lived.well("ledger", "rebuild", "--yes")
    lived.well("ledger", "rebuild", "--yes", "--at-least", "8")
    assert lived.spent() == 8.0


def test_what_a_hospital_once_stated_is_charged_again_when_the_rebuilt_ledger_is_lost_too(lived: Lived) -> None:
    """Nobody was charged since, so that the entry of the first rebuilding alone tells of it."""
    remove(LEDGER_NAME, HEAD_NAME, "audit")(lived)
    lived.well("ledger", "rebuild", "--yes", "--at-least", "8")
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    lived.well("ledger", "rebuild", "--yes")
    assert lived.spent() == 8.0


def test_that_the_service_runs_is_said_before_anybody_is_asked_to_rebuild(lived: Lived) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    with alone_in(lived.state):
        done = lived.run("ledger", "rebuild")
    assert "another process is using this folder" in str(done.exception)
    assert "Rebuild the ledger this way?" not in done.stdout


def test_nothing_is_rebuilt_from_an_audit_log_that_was_changed(lived: Lived) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    [path] = lived.folder.audit.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"epsilon after":', b'"epsilon after":0', 1))
    with pytest.raises(StorageError, match="the audit log cannot be trusted"):
        lived.well("ledger", "rebuild", "--yes")


def test_an_older_copy_trains_nothing_until_it_is_rebuilt_and_then_charges_the_rounds_after_it(
    lived: Lived, once: Lived
) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    said = lived.well("ledger", "restore", lived.place / "older")
    assert "2 answered rounds" in said
    assert (lived.state / BEHIND).exists()
    with pytest.raises(StorageError, match="does not know all that was spent after it"):
        open_ledger(lived.state, lived.folder.identity())
    lived.well("ledger", "rebuild", "--yes")
    assert not (lived.state / BEHIND).exists()
    assert lived.spent() == pytest.approx(once.spent(), rel=1e-4)
    assert lived.ledger().books.rounds_of(named("first").digest()) == [1]  # what the copy knew of the study stays known
    with pytest.raises(PrivacyError, match="has ended here"):
        lived.approve(named("first"))


def test_a_head_that_was_kept_elsewhere_shows_that_a_copy_is_older(lived: Lived) -> None:
    head = lived.well("ledger", "head").strip()
    remove(LEDGER_NAME, HEAD_NAME, "audit")(lived)
    said = lived.well("ledger", "restore", lived.place / "older", "--head", head)
    assert "entries up to 8, which a head speaks of" in said
    with pytest.raises(StorageError):
        open_ledger(lived.state, lived.folder.identity())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda copy, lived: shutil.copytree(lived.place / OTHER, copy, dirs_exist_ok=True),
            "it is another hospital's, or older than its keys",
        ),
        (lambda copy, lived: (copy / HEAD_NAME).unlink(), "this copy has a ledger without its head"),
        (
            lambda copy, lived: shutil.copy2(lived.place / OTHER / KEY_NAME, copy / KEY_NAME),
            "is not the one that this ledger",
        ),
        (lambda copy, lived: (copy / LEDGER_NAME).write_bytes(b"no database"), "cannot be read"),
        (lambda copy, lived: (copy / LEDGER_NAME).unlink(), "there is no ledger in this folder"),
        (lambda copy, lived: copy.rename(copy.with_name("elsewhere")), "this is not a folder"),
    ],
)
def test_a_copy_that_does_not_verify_is_not_put_in_place(
    lived: Lived, change: Callable[[Path, Lived], Any], said: str
) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    change(lived.place / "whole", lived)
    with pytest.raises(StorageError, match=said):
        lived.well("ledger", "restore", lived.place / "whole")
    assert not (lived.state / LEDGER_NAME).exists()


def test_a_whole_ledger_is_not_replaced_by_an_older_copy(lived: Lived) -> None:
    with pytest.raises(StorageError, match="is intact, and has every charge of the copy"):
        lived.well("ledger", "restore", lived.place / "older")
    with pytest.raises(StorageError, match="nothing to rebuild"):
        lived.well("ledger", "rebuild", "--yes")


def test_another_identity_keeps_what_patients_spent_under_the_one_before(lived: Lived, once: Lived) -> None:
    replace_keys(lived.folder, NOW, identity=True)
    begin(lived.folder, "mercy", lived.folder.settings().data, None, NOW)
    with pytest.raises(StorageError):
        open_ledger(lived.state, lived.folder.identity())
    remove(LEDGER_NAME, HEAD_NAME, KEY_NAME)(lived)
    with pytest.raises(StorageError, match="the audit log records approved studies"):
        open_ledger(lived.state, lived.folder.identity())
    lived.well("ledger", "rebuild", "--yes")
    assert lived.spent() == pytest.approx(once.spent(), rel=1e-4)


def test_a_charge_that_a_crash_cut_off_before_the_ledger_had_it_stops_nobody(lived: Lived) -> None:
    """It is noted just before it is charged: no answer has left, and the question is charged when it comes again."""
    study = named("first")
    hospital_log(lived.folder).note("round charged", {"study": study.digest()[:12], "round": 4, "epsilon after": 3.0})
    lived.train(study, 4)
    assert lived.ledger().books.rounds_of(study.digest()) == [1, 2, 3, 4]


def test_a_round_that_a_service_answers_while_the_ledger_is_read_is_no_loss(lived: Lived) -> None:
    reading = existing_ledger(lived.state, lived.folder.identity())
    lived.train(named("first"), 4)
    reading.check_reaches()
    assert reading.books.rounds_of(named("first").digest()) == [1, 2, 3, 4]


def test_while_the_service_runs_nothing_is_restored_or_rebuilt(lived: Lived) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    with alone_in(lived.state):
        for command in (("restore", lived.place / "whole"), ("rebuild", "--yes")):
            with pytest.raises(StorageError, match="another process is using this folder"):
                lived.well("ledger", *command)
    assert not (lived.state / LEDGER_NAME).exists()


def test_a_folder_in_which_nothing_happened_begins_a_ledger_also_after_a_crash(tmp_path: Path) -> None:
    lived = Lived(tmp_path / "new")
    (lived.state / BEGINNING).write_bytes(b"")
    (lived.state / KEY_NAME).write_bytes(bytes(32))
    (lived.state / KEY_NAME).chmod(0o600)
    assert lived.ledger().books.charged == {}
    assert not (lived.state / BEGINNING).exists()


@pytest.mark.parametrize("seed", range(4))
def test_no_patient_is_ever_charged_less_than_they_spent(tmp_path: Path, seed: int) -> None:
    """Studies of overlapping patients, in any order; then the ledger is lost: the bound is at least the truth."""
    chance = random.Random(seed)  # which studies a test makes up is no secret
    lived, spent = Lived(tmp_path / "h"), dict[str, list[Event]]()
    for place in range(3):
        study = named(f"study-{place}")
        patients = tuple(chance.sample("abcdef", chance.randint(2, 5)))
        event = Event(noise_multiplier=chance.choice([0.8, 1.0, 2.0]), sampling_rate=0.2, steps=chance.randint(1, 20))
        lived.approve(study, patients, event)
        count = chance.randint(1, 3)
        lived.train(study, *range(1, count + 1), patients=patients, event=event)
        for patient in patients:
            spent.setdefault(patient, []).extend([event] * count)
    truth = max(epsilon_of([each.times(1) for each in events], DEFAULT_DELTA) for events in spent.values())
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    assert plan_rebuild(lived.folder).bound.epsilon >= truth - 1e-6  # a note has six digits
    lived.well("ledger", "rebuild", "--yes")
    assert lived.spent() >= truth - 1e-6


def told(*notes: tuple[str, int, float, float]) -> Told:
    return Told(notes=tuple(Note((study, number), before, after, 1e-5) for study, number, before, after in notes))


@pytest.mark.parametrize(
    ("logs", "epsilon", "delta"),
    [
        ([told()], 0.0, 0.0),
        ([told(("a", 1, 0, 1), ("a", 2, 1, 2), ("b", 1, 2, 3))], 3.0, 1e-5),
        ([told(("a", 1, 0, 1), ("a", 1, 0, 1.2), ("a", 2, 1.2, 2))], 2.0, 1e-5),  # told again after a crash
        ([told(("a", 1, 0, 1), ("a", 2, 1, 2), ("a", 3, 0, 1))], 3.0, 2e-5),  # the ledger had been lost in between
        ([told(("a", 1, 0, 5)), told(("b", 1, 0, 2))], 5.0, 1e-5),
    ],
)
def test_the_bound_is_the_most_that_a_note_tells_and_adds_up_where_a_ledger_was_reset(
    logs: list[Told], epsilon: float, delta: float
) -> None:
    found = bound(logs)
    assert (found.epsilon, found.delta) == (pytest.approx(epsilon), pytest.approx(delta))


def test_what_is_killed_while_a_ledger_is_rebuilt_is_rebuilt_again(lived: Lived) -> None:
    remove(LEDGER_NAME, HEAD_NAME)(lived)
    hospital_log(lived.folder).note("ledger rebuilt", {"epsilon": 2.0, "delta": 1e-5, "rounds": 3})
    with closing((lived.state / LEDGER_NAME).open("wb")):  # the file was made, and nothing is in it
        pass
    with pytest.raises(StorageError):
        open_ledger(lived.state, lived.folder.identity())
    lived.well("ledger", "rebuild", "--yes")
    assert lived.spent() >= 2.0
