"""``kill -9`` of coordinator and hospital at each stage of a run: it goes on, and no byte of the model differs.

The hospitals' streams are planted, so that what a study gives is known, noise and all: a hospital that made a second,
other answer for a round would show in the model. Masks are the system's own, as always; they cancel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import zip_longest
from typing import NamedTuple

import pytest

from faults.mortal import Fault
from link import until
from processes import NAMES, WAIT_S, Site
from wardround_client.spending.ledger.store import existing_ledger, open_ledger
from wardround_client.spending.parts import parts_of
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import StorageError
from wardround_common.study.file import Study

pytestmark = pytest.mark.faults
ROUNDS = 2
A = NAMES[0]
DP = {"mechanism": "dp-sgd", "epsilon": 6.0, "delta": 1e-5, "clip_norm": 1.0}
PRIVACY = {"none": {"mechanism": "none"}, "dp": DP, "noised": DP | {"evaluation_epsilon": 6.0}}


class Made(NamedTuple):
    """What a run makes: the bytes of its parameters, and its figures on test patients."""

    model: bytes
    figures: object


HOSPITAL = {
    "a proposal is on its way to the disk": Fault("wardround_client.state.approvals:Approvals.propose", "before"),
    "a proposal is on the disk": Fault("wardround_client.state.approvals:Approvals.propose"),
    "prepare is asked and nothing was read": Fault("wardround_client.service.ward:read_data", "before"),
    "images are scanned and prepared": Fault("wardround_client.service.ward:read_data"),
    "its own stream was read": Fault("wardround_client.service.ward:own_stream"),
    "its key for the run is on the disk": Fault("wardround_client.hospital.secure_desk:Desk.join"),
    "a question was received": Fault("wardround_client.link.mailbox:Mailbox.put", "before", "train.train"),
    "a question is on the disk": Fault("wardround_client.link.mailbox:Mailbox.put", "after", "train.train"),
    "the model of round 2 was received": Fault("wardround_client.link.mailbox:Mailbox.put", "after", "train.train", 3),
    "evaluation begins": Fault("wardround_client.hospital.answering:sums_of", "before"),
    "evaluation is masked": Fault("wardround_client.hospital.secure_desk:write_atomically", "after", "evaluate.upload"),
    "evaluated models are noted": Fault(
        "wardround_client.hospital.secure_desk:write_atomically", "after", "evaluate.answered"
    ),
}
HOSPITAL_WITH_DP = {
    "nothing is charged": Fault("wardround_client.spending.account:Account.charge", "before"),
    "a charge is in the ledger and not in its head": Fault(
        "wardround_client.spending.ledger.store:write_atomically", "before", "ledger.head"
    ),
    "a round is charged": Fault("wardround_client.spending.account:Account.charge"),
    "a round is being trained": Fault("wardround_client.training.local_work:_drawn", "before", "", 2),
    "a round is trained": Fault("wardround_client.hospital.answering:train"),
    "the ledger knows that it is": Fault("wardround_client.spending.ledger.store:Ledger.confirm"),
    "a masked upload is on the disk without its terms": Fault(
        "wardround_client.hospital.secure_desk:write_atomically", "before", "train.terms"
    ),
    "a masked upload is on the disk": Fault(
        "wardround_client.hospital.secure_desk:write_atomically", "after", "train.terms"
    ),
    "an answer is on its way to the disk": Fault(
        "wardround_client.link.mailbox:Mailbox.put", "before", "outbox train.train"
    ),
    "an answer is on the disk": Fault("wardround_client.link.mailbox:Mailbox.put", "after", "outbox train.train"),
    "an upload begins": Fault("wardround_client.link.wire:Wire.ask", "after", "push-messages", 3),
    "half of an upload is sent": Fault("wardround_client.link.wire:Wire.ask", "after", "push-object", 9),
    "an upload is sent and not forgotten": Fault("wardround_client.link.mailbox:Mailbox.remove", "before", "outbox", 3),
    "the survivors are about to be confirmed": Fault(
        "wardround_client.hospital.secure_desk:write_atomically", "before", "train.confirmed"
    ),
    "the survivors are confirmed": Fault(
        "wardround_client.hospital.secure_desk:write_atomically", "after", "train.confirmed"
    ),
    "its shares are given": Fault("wardround_client.hospital.secure_desk:Desk.open"),
}
HOSPITAL_WITH_NOISE = {
    "an evaluation is about to be charged": Fault(
        "wardround_client.spending.account:Account.charge", "before", "split='validation'"
    ),
    "an evaluation is charged": Fault(
        "wardround_client.spending.account:Account.charge", "after", "split='validation'"
    ),
    "patients are counted": Fault("wardround_client.hospital.answering:patient_sums"),
    "the test is charged": Fault("wardround_client.spending.account:Account.charge", "after", "split='test'"),
    "test patients are counted": Fault("wardround_client.hospital.answering:patient_sums", "after", "", 3),
    "the test's upload is on the disk without its terms": Fault(
        "wardround_client.hospital.secure_desk:write_atomically", "before", "evaluate.terms", 3
    ),
}
COORDINATOR = {
    "a run is about to be noted": Fault("wardround_server.service.runs:Runs._note", "before"),
    "a run is noted": Fault("wardround_server.service.runs:Runs._note"),
    "a run has its number": Fault("wardround_server.link.superlink:SuperLink.new_run"),
    "a proposal is about to be sent": Fault(
        "wardround_server.link.link_grid:LinkGrid.push_messages", "before", "query.propose"
    ),
    "a proposal is out": Fault("wardround_server.link.link_grid:LinkGrid.push_messages", "after", "query.propose"),
    "the run of secure sums has its name": Fault("wardround_server.service.runs:open_consortium"),
    "the hospitals are asked to prepare": Fault(
        "wardround_server.link.link_grid:LinkGrid.push_messages", "after", "query.prepare"
    ),
    "the cohort of a round is noted": Fault("wardround_server.rounds.secure_rounds:Rounds._write_note"),
    "one of three has its question": Fault("wardround_server.link.link_grid:LinkGrid._store", "after", "train.train"),
    "a round is asked": Fault("wardround_server.link.link_grid:LinkGrid.push_messages", "after", "train.train"),
    "a question is given out": Fault("wardround_server.link.fleet:Fleet._pull", "after", "", 12),
    "a receipt arrives": Fault("wardround_server.link.fleet:Fleet._confirm", "before", "", 7),
    "an upload is announced": Fault("wardround_server.link.fleet:Fleet._push", "after", "", 7),
    "half of an upload is here": Fault("wardround_server.link.fleet:Fleet._push_object", "after", "", 40),
    "an upload is read": Fault("wardround_server.link.link_grid:LinkGrid._reply", "after", "", 7),
    "the survivors are noted": Fault("wardround_server.rounds.secure_rounds:Rounds._write_note", "after", "", 2),
    "confirmations are asked": Fault(
        "wardround_server.link.link_grid:LinkGrid.push_messages", "after", "query.confirm"
    ),
    "confirmations are here": Fault("wardround_server.rounds.secure_sum:Confirming.close"),
    "shares are asked": Fault("wardround_server.link.link_grid:LinkGrid.push_messages", "after", "query.open"),
    "a round is summed": Fault("wardround_server.rounds.secure_sum:Opening.total"),
    "the evaluation is asked": Fault("wardround_server.link.link_grid:LinkGrid.push_messages", "after", "evaluate"),
    "the evaluation is summed": Fault("wardround_server.rounds.secure_sum:Opening.total", "after", "", 2),
    "a checkpoint is about to be written": Fault("wardround_server.service.runs:write_checkpoint", "before"),
    "a checkpoint is written": Fault("wardround_server.service.runs:write_checkpoint"),
    "the last checkpoint is written": Fault("wardround_server.service.runs:write_checkpoint", "after", "", 2),
    "the model is written": Fault("wardround_server.service.runs:write_model"),
    "the report is about to be written": Fault("wardround_server.service.runs:write_report", "before"),
    "the report is written": Fault("wardround_server.service.runs:write_report"),
    "the run is noted as done and its mail is not forgotten": Fault(
        "wardround_server.service.serving:Service._end", "before"
    ),
    "the run is done": Fault("wardround_server.service.runs:Runs._note", "after", "stage='done'"),
    "the run's mail is forgotten": Fault("wardround_server.link.superlink:SuperLink.end_run"),
}


def planted(site: Site, name: str, privacy: str) -> Study:
    """Write a study, let all approve it, and give each hospital a stream that is the same in each of these studies."""
    study = site.study(name, training={"rounds": ROUNDS}, privacy=PRIVACY[privacy])
    for number, hospital in enumerate(NAMES):
        folder = HospitalFolder(site.folder / hospital)
        open_ledger(folder.path, folder.identity())  # it begins before the first study has secrets
        key = site.folder / hospital / "studies" / study.digest() / "stream.key"
        key.parent.mkdir(parents=True)
        key.touch(mode=0o600)  # one that others may read is refused
        key.write_bytes(bytes([number]) * 32)
    return study


@pytest.fixture(scope="module")
def undisturbed(site: Site) -> Callable[[str], Made]:
    """Return what a run makes to which nothing happens, with privacy or without."""

    @cache
    def made(privacy: str) -> Made:
        study = planted(site, f"undisturbed-{privacy}", privacy)
        site.approve_here(study)
        site.begin(study)
        return finished(site, study)

    return made


def finished(site: Site, study: Study) -> Made:
    """Wait for a run, check all that must hold after it, and give its model and its figures."""
    name = study.study.name
    standing = site.until_over(name)
    assert (standing["stage"], standing["round"]) == ("done", ROUNDS), f"{standing}\n{site.logs()}"
    assert site.each_charged(study, ROUNDS)
    state = site.state(study)
    assert [record.answered for record in state.history] == [NAMES] * ROUNDS
    folder = site.folder / "C" / "runs" / name
    assert (folder / "results.json").stat().st_size > 500
    assert (folder / "model.safetensors").stat().st_size > 500
    assert state.history[-1].validation_loss is not None, "the evaluation was lost"
    until(lambda: not any(site.mail(each) for each in NAMES), WAIT_S)
    until(lambda: not (folder / "link").exists())
    for name in NAMES if study.noised else ():  # each patient is charged what is true, and nobody twice
        hospital = HospitalFolder(site.folder / name)
        books = existing_ledger(hospital.path, hospital.identity()).books
        _, validation, test = parts_of(study.digest())
        assert (books.rounds_of(validation), books.rounds_of(test)) == ([*range(1, ROUNDS + 1)], [study.test_round])
    return Made(state.parameters.tobytes(), json.loads((folder / "results.json").read_text())["evaluation"])


class Victims:
    """Services that are to die at a stage, and are started again as soon as they have."""

    def __init__(self, site: Site, faults: dict[str, Fault]) -> None:
        self.site = site
        self.waiting = dict(faults)
        for who, fault in faults.items():
            fault.write(site.folder, who)

    def fell(self) -> bool:
        """Start again who fell since the last look, and say whether all did."""
        for who in list(self.waiting):
            if self.site.running[who].poll() is not None:
                assert self.site.running[who].wait() == -9, self.site.logs()
                (self.site.folder / f"{who}.met").unlink()
                del self.waiting[who]
                self.site.start(who)
        return not self.waiting

    def until_all_fell(self, within_s: float = WAIT_S) -> None:
        """Wait until each came to its stage."""
        try:
            until(self.fell, within_s)
        except AssertionError:
            for who in self.waiting:
                (self.site.folder / f"{who}.fault").unlink(missing_ok=True)
            raise AssertionError(f"never came to its stage: {self.waiting}{self.site.logs()}") from None


def slug(stage: object) -> str:
    return "-".join(str(stage).replace("'", "").split())


# Each run loses a hospital at one stage and the coordinator at another; every stage has its run.
HOSPITALS_STAGES = {**HOSPITAL, **HOSPITAL_WITH_DP, **HOSPITAL_WITH_NOISE}
PAIRS = list(zip_longest(HOSPITALS_STAGES, COORDINATOR, fillvalue=None))
IN_CI = range(4, len(PAIRS), 8)  # one in eight; the whole list takes minutes
RUNS = [pytest.param(*pair, marks=[pytest.mark.slow] * (place in IN_CI)) for place, pair in enumerate(PAIRS)]


@pytest.mark.parametrize(("hospital", "coordinator"), RUNS, ids=slug)
def test_kill_9_of_a_hospital_and_of_the_coordinator_loses_nothing_when(
    site: Site, undisturbed: Callable[[str], Made], hospital: str | None, coordinator: str | None
) -> None:
    privacy = "noised" if hospital in HOSPITAL_WITH_NOISE else "dp" if hospital in HOSPITAL_WITH_DP else "none"
    study = planted(site, f"run-{PAIRS.index((hospital, coordinator))}", privacy)
    early = hospital is not None and "proposal" in hospital
    if not early:
        site.approve_here(study)
    faults = {A: HOSPITALS_STAGES[hospital]} if hospital else {}
    if coordinator:
        faults["C"] = COORDINATOR[coordinator]
    victims = Victims(site, faults)
    try:
        site.begin(study)
    except StorageError:  # the coordinator died before it answered; its people see that, and look
        assert coordinator is not None
        until(lambda: victims.fell() or "C" not in victims.waiting)
        if not site.status(study.study.name)["stage"]:
            assert coordinator == "a run is about to be noted"
            site.begin(study)
    if early:
        until(lambda: victims.fell() or A not in victims.waiting)
        site.approve_here(study)
    victims.until_all_fell()
    assert finished(site, study) == undisturbed(privacy)
