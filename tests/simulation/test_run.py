"""Whole runs over synthetic hospitals: the same model however it is run, and nothing lost when it is stopped."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from flwr.app import Message
from safetensors.numpy import load_file

from examples import DP, study
from wardround_common.errors import DataError, RoundError, StorageError, StudyError, WardroundError
from wardround_common.keys.identity import Identity
from wardround_common.results import ALL, FEDERATED, POOLED, Results, alone
from wardround_common.study.file import Study, read_study
from wardround_common.study.roster import Listed
from wardround_simulation import grid, jobs
from wardround_simulation.federation import Federation
from wardround_simulation.flower_engine import _tells_more
from wardround_simulation.phantoms import CLASSES, SCANNERS
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Engine, Plan, Progress
from wardround_simulation.run.simulate import simulate
from wardround_simulation.sweep import finished_results
from wardround_simulation.workers import Died, InThisProcess, Processes, Workers

pytestmark = pytest.mark.usefixtures("undrawn")


def phantom_study(**sections: dict[str, Any]) -> Study:
    sections["task"] = {"classes": list(CLASSES)}
    sections["data"] = {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 24}
    return study(**sections)


def run(
    of: Study,
    hospitals: Path,
    state: Path,
    out: Path,
    workers: Workers | None = None,
    *,
    resume: bool = False,
    baselines: bool = False,
    show: Any = lambda progress: None,
    engine: Engine = "in-process",
) -> Results:
    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    return simulate(Plan(of, sites, out, resume, baselines, engine), workers or InThisProcess(), show)


def model(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def model_numbers(folder: Path) -> dict[str, bytes]:
    """Return the parameters; the file's other facts name the study."""
    return {name: tensor.tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


@pytest.mark.slow
def test_one_worker_and_two_give_the_same_model(hospitals: Path, state: Path, tmp_path: Path) -> None:
    of = phantom_study(privacy=DP)
    run(of, hospitals, state, tmp_path / "one")
    two = Processes(2)
    try:
        run(of, hospitals, state, tmp_path / "two", two)
    finally:
        two.close()
    assert model(tmp_path / "one") == model(tmp_path / "two")


def test_a_run_leaves_model_study_report_and_numbers(hospitals: Path, state: Path, tmp_path: Path) -> None:
    of = phantom_study()
    results = run(of, hospitals, state, tmp_path / "run", baselines=True)
    assert read_study(tmp_path / "run" / "study.toml").digest() == of.digest() == results.study_digest
    assert Results.from_json((tmp_path / "run" / "results.json").read_text()) == results
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    names = ["hospital-a", "hospital-b", "hospital-c"]
    assert set(results.evaluation) == {FEDERATED, POOLED, *map(alone, names)}
    assert set(results.evaluation[FEDERATED]) == {ALL, *names}
    tensors = load_file(tmp_path / "run" / "model.safetensors")
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_model(hospitals: Path, state: Path, tmp_path: Path) -> None:
    of = phantom_study(privacy=DP)

    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(of, hospitals, state, tmp_path / "broken", show=interrupt)
    seen: list[int] = []
    resumed = run(
        of,
        hospitals,
        state,
        tmp_path / "broken",
        resume=True,
        show=lambda progress: seen.append(progress.done) if progress.phase == "training" else None,
    )
    whole = run(of, hospitals, state, tmp_path / "whole")
    assert seen == [1, 2, 3]
    assert model(tmp_path / "broken") == model(tmp_path / "whole")
    assert resumed.evaluation == whole.evaluation


@pytest.mark.slow
def test_an_interrupted_baseline_goes_on_to_the_same_numbers(hospitals: Path, state: Path, tmp_path: Path) -> None:
    of = phantom_study()

    def interrupt(progress: Progress) -> None:
        if progress.phase == "baselines" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(of, hospitals, state, tmp_path / "broken", baselines=True, show=interrupt)
    # The federation's figures are there as soon as it is trained, and say what is still to come.
    early = Results.from_json((tmp_path / "broken" / "results.json").read_text())
    assert set(early.evaluation) == {FEDERATED}
    assert finished_results(tmp_path / "broken") is None
    assert early.notes[0].startswith("The models of each hospital alone and of all images pooled are not there yet.")
    assert "are not there yet" in (tmp_path / "broken" / "report.html").read_text()
    resumed = run(of, hospitals, state, tmp_path / "broken", baselines=True, resume=True)
    assert resumed.evaluation == run(of, hospitals, state, tmp_path / "whole", baselines=True).evaluation
    assert early.evaluation[FEDERATED] == resumed.evaluation[FEDERATED]
    assert not any("not there yet" in note for note in resumed.notes)
    assert finished_results(tmp_path / "broken") == resumed


@pytest.mark.slow
def test_a_hospital_whose_process_is_killed_in_a_round_is_named_and_missed_once(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(training={"rounds": 4})
    workers = Processes(1)

    def kill(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 1:
            for process in workers.process_ids():
                os.kill(process, signal.SIGKILL)

    try:
        results = run(of, hospitals, state, tmp_path / "run", workers, show=kill)
    finally:
        workers.close()
    absences = [(record.number, absence.kind) for record in results.rounds for absence in record.absent]
    assert absences == [(2, "crashed")]
    assert any("did not answer in 1 of 4 rounds (first in round 2)" in note for note in results.notes)


def test_a_folder_with_a_run_is_not_overwritten(hospitals: Path, state: Path, tmp_path: Path) -> None:
    run(phantom_study(), hospitals, state, tmp_path / "run")
    before = model(tmp_path / "run")
    with pytest.raises(StorageError, match="already holds a run"):
        run(phantom_study(), hospitals, state, tmp_path / "run")
    with pytest.raises(StorageError, match="another study or seed"):
        run(phantom_study(model={"seed": 1}), hospitals, state, tmp_path / "run", resume=True)
    with pytest.raises(StorageError, match="no run to resume"):
        run(phantom_study(), hospitals, state, tmp_path / "other", resume=True)
    assert model(tmp_path / "run") == before


def test_a_run_is_not_resumed_on_other_data(hospitals: Path, state: Path, tmp_path: Path) -> None:
    mine = tmp_path / "hospitals"
    shutil.copytree(hospitals, mine)
    run(phantom_study(), mine, tmp_path / "state", tmp_path / "run")
    labels = mine / "hospital-b" / "labels.csv"
    lines = labels.read_text().splitlines()
    labels.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(StorageError, match="the data changed at: hospital-b"):
        run(phantom_study(), mine, tmp_path / "state", tmp_path / "run", resume=True)


def test_a_run_that_was_removed_is_run_again_in_the_same_process_with_ledgers_of_its_own(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        run(phantom_study(privacy=DP, training={"rounds": 1}), hospitals, state, tmp_path / "run")
        assert len(list((tmp_path / "run" / "ledgers").glob("*/ledger.sqlite"))) == 3
        shutil.rmtree(tmp_path / "run")


def test_a_process_that_dies_while_the_network_is_tried_is_said_to_have_tried_it(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    class Killed(InThisProcess):
        def done(self) -> Iterator[tuple[int, Any]]:
            number, _ = self._queue.popleft()
            yield number, Died(-signal.SIGKILL)

    with pytest.raises(RoundError, match="the process that worked for the study's network was killed"):
        run(phantom_study(), hospitals, state, tmp_path / "run", Killed())


def test_nothing_of_a_patient_is_in_what_a_hospital_sends(
    hospitals: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    pulled = grid.InProcessGrid.pull_messages

    def listen(self: grid.InProcessGrid, message_ids: Iterable[str]) -> list[Message]:
        replies = pulled(self, message_ids)
        sent.extend(record.deflate() for reply in replies for record in reply.content.values())
        sent.extend(
            array.data
            for reply in replies
            for records in reply.content.array_records.values()
            for array in records.values()
        )
        return replies

    monkeypatch.setattr(grid.InProcessGrid, "pull_messages", listen)
    run(phantom_study(), hospitals, state, tmp_path / "run")
    told = b"".join(sent)
    assert len(told) > 1_000_000  # three updates in each of three rounds
    names = {path.name for path in hospitals.rglob("*")} - {"series-1", "1.dcm", "labels.csv"}
    secrets = [name.encode() for name in names if not name.startswith("hospital-")] + [b".dcm", str(hospitals).encode()]
    assert len(secrets) > 60
    assert not [secret for secret in secrets if secret in told]


def test_an_error_in_a_hospital_reaches_the_coordinator_as_a_word_without_its_text(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    from wardround_simulation import jobs
    from wardround_simulation.federation import Federation, nodes

    broken = tmp_path / "A-secret-patient"
    broken.mkdir()
    sites = sites_in(tmp_path, Places(None, None, frozenset(), state))
    federation = Federation(phantom_study(), sites)
    names = nodes([site.name for site in sites])
    from wardround_common.messages.rounds import Failure, PrepareRequest
    from wardround_server.rounds.app import GridExchange

    exchange = GridExchange(grid.InProcessGrid(federation, names, InThisProcess()), names)
    question = PrepareRequest(federation.study.digest(), False).parts()
    answers = dict(exchange.ask("prepare", {sites[0].name: question}))
    assert answers == {sites[0].name: Failure("data")}
    with pytest.raises(DataError):
        jobs.describe(federation, sites[0].name)


@pytest.mark.parametrize("damage", ["one patient", "unknown class", "empty", "file instead of folder"])
def test_a_hospital_that_cannot_take_part_ends_the_run_with_its_name(
    hospitals: Path, tmp_path: Path, damage: str
) -> None:
    mine = tmp_path / "hospitals"
    shutil.copytree(hospitals / "hospital-a", mine / "good")
    bad = mine / "bad"
    shutil.copytree(hospitals / "hospital-b", bad)
    labels = (bad / "labels.csv").read_text().splitlines()
    if damage == "one patient":
        (bad / "labels.csv").write_text("\n".join(labels[:2]) + "\n")
    elif damage == "unknown class":
        file, patient, _, *rest = labels[1].split(",")
        (bad / "labels.csv").write_text("\n".join([labels[0], ",".join([file, patient, "hernia", *rest])]) + "\n")
    else:
        shutil.rmtree(bad)
        bad.mkdir()
    with pytest.raises(WardroundError) as caught:
        run(phantom_study(), mine, tmp_path / "state", tmp_path / "run")
    assert caught.value.exit_code == 4
    assert "hospital bad" in str(caught.value)
    assert "→" in str(caught.value)
    patients = {path.name for path in (hospitals / "hospital-b").iterdir() if path.is_dir()}
    assert not [patient for patient in patients if patient in str(caught.value)]


def test_a_hospital_with_one_class_takes_part_and_the_report_says_so(hospitals: Path, tmp_path: Path) -> None:
    mine = tmp_path / "hospitals"
    shutil.copytree(hospitals, mine)
    labels = mine / "hospital-a" / "labels.csv"
    lines = labels.read_text().splitlines()
    labels.write_text("\n".join([lines[0], *(line for line in lines[1:] if line.split(",")[2] == CLASSES[0])]) + "\n")
    results = run(phantom_study(), mine, tmp_path / "state", tmp_path / "run")
    assert any(note.startswith("hospital-a: its test patients have one class only") for note in results.notes)
    assert results.evaluation[FEDERATED]["hospital-a"].metrics["auroc"].value is None


def test_too_few_hospitals_are_refused_before_anything_is_done(hospitals: Path, state: Path, tmp_path: Path) -> None:
    for changes in ({"min_hospitals": 9}, {}):
        external = {} if changes else {"external": ["hospital-a"]}
        of = phantom_study(aggregation=changes or {"min_hospitals": 3}, evaluation=external)
        with pytest.raises(StudyError, match=r"min_hospitals = \d, and here \d of 3 hospitals can train"):
            run(of, hospitals, state, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_flowers_own_engine_gives_the_same_model(hospitals: Path, state: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    of = phantom_study()
    run(of, hospitals, state, tmp_path / "ours")
    run(of, hospitals, state, tmp_path / "flower", engine="flower")
    assert model(tmp_path / "ours") == model(tmp_path / "flower")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # Ray's files
def test_two_nodes_of_a_cluster_give_the_same_model(
    hospitals: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")  # 30 s are too few beside other tests
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    of = phantom_study()
    run(of, hospitals, state, tmp_path / "ours")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        run(of, hospitals, state, tmp_path / "flower", engine="flower")
    finally:
        cluster.shutdown()
    assert model(tmp_path / "ours") == model(tmp_path / "flower")


def test_flower_tells_of_every_error_but_a_lost_actor_s() -> None:
    errors = pytest.importorskip("ray").exceptions

    def told(said: object, *more: object) -> bool:
        return _tells_more(logging.LogRecord("flwr", logging.ERROR, "", 0, said, more, None))

    for lost in (errors.ActorDiedError(), errors.ActorUnavailableError("its node is gone", None)):
        try:
            raise lost
        except errors.RayError:
            assert not told(traceback.format_exc())
        assert not told(lost)
    assert not told("An exception was raised when processing a message by %s", "RayBackend")
    assert told("An exception occured!! %s", ValueError("a model that is not finite"))


def test_an_engine_that_is_not_installed_is_said_before_a_run_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hospitals" / "a").mkdir(parents=True)
    (tmp_path / "hospitals" / "b").mkdir()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RoundError, match="needs Ray, which is not installed"):
        run(phantom_study(), tmp_path / "hospitals", tmp_path / "state", tmp_path / "run", engine="flower")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named(
    hospitals: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(RoundError, match=f"no cluster of Ray can be joined at {address}, which RAY_ADDRESS names"):
        run(phantom_study(), hospitals, state, tmp_path / "run", engine="flower")
    assert not (tmp_path / "run").exists()  # the same command, mended, begins a run there


@pytest.mark.slow
def test_secure_sums_give_the_same_model_whether_by_one_worker_or_two_stopped_or_not(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(aggregation={"secure": True}, training={"rounds": 2})
    run(of, hospitals, state, tmp_path / "one")
    two = Processes(2)
    try:
        run(of, hospitals, state, tmp_path / "two", two, baselines=True)
    finally:
        two.close()

    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(of, hospitals, state, tmp_path / "broken", show=interrupt)
    run(of, hospitals, state, tmp_path / "broken", resume=True)
    assert model(tmp_path / "one") == model(tmp_path / "two") == model(tmp_path / "broken")
    run(phantom_study(training={"rounds": 2}), hospitals, state, tmp_path / "plain")
    plain = load_file(tmp_path / "plain" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "one" / "model.safetensors").items():
        assert np.abs(tensor - plain[name]).max() < 2e-3
    kept = [path for path in (tmp_path / "one" / "secure" / "hospitals").rglob("*") if path.is_file()]
    assert len(kept) == 3 * 10
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)


def test_a_study_with_a_roster_simulates_to_the_same_numbers_with_keys_that_protect_nobody(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    draft = phantom_study(aggregation={"secure": True, "min_hospitals": 3}, training={"rounds": 1})
    listed = [Listed.of(f"Hospital {number}", Identity(bytes([number]) * 32).public) for number in range(3)]
    of = Study.model_validate(draft.tables() | {"roster": [one.model_dump() for one in listed]})
    results = run(of, hospitals, state, tmp_path / "listed")
    as_draft = run(draft, hospitals, state, tmp_path / "draft")
    assert results.evaluation == as_draft.evaluation
    assert [record.training_loss for record in results.rounds] == [r.training_loss for r in as_draft.rounds]
    assert model_numbers(tmp_path / "listed") == model_numbers(tmp_path / "draft")
    assert results.study_digest == of.digest() == read_study(tmp_path / "listed" / "study.toml").digest()
    (note,) = set(results.notes) - set(as_draft.notes)
    assert "The study's roster was not used" in note
    assert "protect nobody" in note


def test_a_baseline_that_fails_for_another_reason_is_not_said_to_have_diverged(hospitals: Path, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(hospitals, lost)
    sites = sites_in(lost, Places(None, None, frozenset(), tmp_path / "state"))
    shutil.rmtree(lost / sites[0].name)
    with pytest.raises(DataError, match="no such folder"):
        jobs.train_baseline(Federation(phantom_study(), tuple(sites)), sites[0].name, tmp_path / "checkpoint")


def copied(image: Path, patient: str, to: Path) -> None:
    """Write an image again as another patient's, with a little noise and another scale of grey values."""
    made = pydicom.dcmread(image)
    pixels = made.pixel_array.astype(float)
    noise = np.random.default_rng(0).normal(0, 0.01 * np.ptp(pixels), pixels.shape)
    changed = (0.9 * pixels + noise).clip(np.iinfo(made.pixel_array.dtype).min, pixels.max())
    made.set_pixel_data(changed.astype(made.pixel_array.dtype), made.PhotometricInterpretation, made.BitsStored)
    made.PatientID = made.PatientName = patient
    made.StudyInstanceUID, made.SeriesInstanceUID = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    made.save_as(to)


@pytest.mark.slow
def test_near_copies_in_two_hospitals_are_said_in_the_report_and_with_labels_that_disagree(
    hospitals: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "hospitals"
    shutil.copytree(hospitals, mine)
    first, labels = mine / "hospital-a", mine / "hospital-b" / "labels.csv"
    header, line = first.joinpath("labels.csv").read_text().splitlines()[:2]
    row = dict(zip(header.split(","), line.split(","), strict=True))
    copied(first / row["file"], "Z1", mine / "hospital-b" / "again.dcm")
    other = next(word for word in CLASSES if word != row["label"])
    again = row | {"file": "again.dcm", "label": other, "patient": "Z1"}
    labels.write_text(labels.read_text() + ",".join(again[name] for name in header.split(",")) + "\n")
    results = run(phantom_study(training={"rounds": 1}), mine, tmp_path / "state", tmp_path / "run")
    (note,) = [note for note in results.notes if "near-identical" in note]
    assert note.startswith("hospital-a and hospital-b share 1 pair of near-identical images; labels disagree in 1")
    honest = run(phantom_study(training={"rounds": 1}), hospitals, tmp_path / "state", tmp_path / "other")
    assert not [note for note in honest.notes if "near-identical" in note]
