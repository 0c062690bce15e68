"""Sums over maps leave a hospital as `explain` counts them there: of enough patients, where it allows it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from consortium import MemoryJournal, identity, roster
from examples import study
from models_made import model_folder
from outlined_hospitals import patient_of, write_mask
from tiny_dicom import save
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.maps.in_lesions import MOST_IMAGES, outlined, rehearse, said_of_lesions, sums_in_lesions
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.source import Source
from wardround_common.errors import StudyError
from wardround_common.messages.rounds import Evaluated, EvaluateRequest
from wardround_common.metrics.maps import InLesion, MapSums
from wardround_common.randomness import insecure_stream
from wardround_common.results.map_sums import NOBODY, NUMBERS, MapCell, figures_of_maps
from wardround_common.results.subgroup_sums import length
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study
from wardround_server.rounds.course import judge_study, run_study
from wardround_server.rounds.secure_rounds import Consortium
from wards import Wards, rostered

PATIENTS = 5


def mapped(least: int = PATIENTS, **sections: dict[str, object]) -> Study:
    evaluation = {"smallest_subgroup": least, "maps": {"method": "hires-cam"}} | sections.pop("evaluation", {})
    data = {"modalities": ["MR"]} | sections.pop("data", {})
    return study(data=data, training={"rounds": 1}, evaluation=evaluation, **sections)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the images of a hospital whose masks outline a tumour in two slices of each patient; all are tested."""
    folder = tmp_path_factory.mktemp("south")
    lines = ["uid,label"]
    for number in range(PATIENTS):
        patient = patient_of("south", number)
        write_mask(folder, "south", patient)
        for at, slice_ in enumerate(patient.series["flair"]):
            save(slice_, folder / patient.name / f"{at}.dcm")
            lines.append(f"{slice_.SOPInstanceUID},{'finding' if patient.mask[at].any() else 'none'}")
    (folder / "labels.csv").write_text("\n".join(lines))
    source = Source(folder, tmp_path_factory.mktemp("state"))
    return prepare(source, mapped(), *take_in(source, mapped()), trains=False)


def taking_part(of: Study, data: Dataset, **tells: bool) -> Hospital:
    return join(of, replace(data, trains=False), insecure_stream(0, "a"), build(of), **tells)


def asked(of: Study, hospital: Hospital) -> np.ndarray:
    vector = networks.read_vector(networks.build(of))
    question = EvaluateRequest(of.digest(), of.external_round, "test", vector)
    answer = hospital.answer("evaluate", question.parts())
    assert isinstance(answer, Evaluated)
    assert len(answer.sums) == length(of)
    return answer.sums[-NUMBERS:]


def test_what_leaves_is_what_explain_counts_over_the_same_folder(hospital: Dataset, tmp_path: Path) -> None:
    leaves_what_explain_counts(mapped(), hospital, tmp_path)


@pytest.mark.parametrize("record", ["image", "slice"])
def test_maps_of_images_that_a_step_cuts_are_counted_where_they_lie_in_the_stored_image(
    hospital: Dataset, record: str, tmp_path: Path
) -> None:
    of = mapped(data={"record": record, "steps": [{"step": "crop", "above": 0.45, "margin": 0.2}]})
    assert hospital.pictured is not None
    source = Source(hospital.pictured.folder, tmp_path / "state")
    cut = prepare(source, of, *take_in(source, of), trains=False)
    assert cut.pictured is not None
    assert len({*cut.pictured.areas.values()}) > 1
    leaves_what_explain_counts(of, cut, tmp_path)


def leaves_what_explain_counts(of: Study, hospital: Dataset, tmp_path: Path) -> None:
    assert hospital.pictured is not None
    (tmp_path / "model").mkdir()
    model = model_folder(tmp_path / "model", of, point=0.5)
    words = ["explain", model, hospital.pictured.folder, "--method", "hires-cam", "--json"]
    lines = [json.loads(line) for line in CliRunner().invoke(wardround, list(map(str, words))).stdout.splitlines()]
    there = [line["lesion"] for line in lines if "lesion" in line]
    assert len(there) == 2 * PATIENTS
    counted = sum(
        (MapSums.of(InLesion(one["hit"], one["mass_in_lesion"], one["random"], one["untrained"])) for one in there),
        MapSums(),
    )
    sent = asked(of, taking_part(of, hospital))
    assert sent[:3].tolist() == [PATIENTS, counted.images, counted.hits]
    assert sent[3:] == pytest.approx(counted.to_vector()[2:], rel=1e-3)  # lines have four digits


def test_a_hospital_with_too_few_patients_or_that_refuses_sends_zeros_and_takes_part(hospital: Dataset) -> None:
    for of, tells in ((mapped(PATIENTS + 1), True), (mapped(), False)):
        assert not asked(of, taking_part(of, hospital, tells_maps=tells)).any()
    few = "none, since 5 test patients have an outlined lesion, and fewer than 6"
    assert said_of_lesions(mapped(PATIENTS + 1), hospital).startswith(few)
    assert said_of_lesions(mapped(), hospital) == "of 10 images of up to 5 test patients with an outlined lesion"


def test_only_what_the_study_calls_a_lesion_is_one(hospital: Dataset) -> None:
    of = mapped(evaluation={"maps": {"method": "hires-cam", "lesions": ["oedema"]}})
    assert outlined(of, hospital) == {}
    assert len(outlined(mapped(evaluation={"maps": {"lesions": ["tum*"]}}), hospital)) == 2 * PATIENTS


def test_masks_that_cannot_be_used_cost_these_sums_and_no_others(hospital: Dataset, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("uid,label,mask\n1.2.3,none,gone.nii\n")
    assert hospital.pictured is not None
    damaged = replace(hospital, pictured=replace(hospital.pictured, folder=tmp_path))
    assert not asked(mapped(), taking_part(mapped(), damaged)).any()
    assert said_of_lesions(mapped(), damaged).startswith("none, since the masks cannot be used")


def test_of_many_images_a_part_is_drawn_the_same_each_time_and_of_the_patients_it_counts(
    hospital: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_IMAGES == 100
    monkeypatch.setattr("wardround_client.maps.in_lesions.MOST_IMAGES", 9)
    network = networks.build(mapped())
    first = sums_in_lesions(network, mapped(), hospital)
    assert (first.patients, first.sums.images) == (PATIENTS, 9)
    assert sums_in_lesions(network, mapped(), hospital) == first
    monkeypatch.setattr("wardround_client.maps.in_lesions.MOST_IMAGES", PATIENTS - 1)
    assert sums_in_lesions(network, mapped(), hospital) == NOBODY


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True])
def test_a_federation_adds_up_what_its_hospitals_sent(hospital: Dataset, secure: bool, tmp_path: Path) -> None:
    asked_for = {"data": mapped().data, "evaluation": mapped().evaluation}
    of = rostered(rounds=1, secure=secure).model_copy(update=asked_for)
    data = replace(hospital, trains=True, train=hospital.test, validation=hospital.test)
    wards = Wards(tmp_path)
    wards._studies[of.digest()] = of
    built = build(of)
    for name in wards.names:
        desk = Desk(of, name, identity(name), roster(wards.names), tmp_path / name, os.urandom) if secure else None
        wards._open[name, of.digest()] = join(of, data, insecure_stream(0, name), built, desk, tells_maps=name != "c")
    consortium = Consortium(os.urandom(16), roster(wards.names), MemoryJournal()) if secure else None
    state = run_study(of, wards, lambda event: None, None, consortium)
    judged = judge_study(of, wards, state, consortium)
    networks.write_vector(built.network, built.layout, state.chosen.model)
    own = sums_in_lesions(built.network, of, data)
    assert own.patients == PATIENTS
    assert judged.maps == own + own  # one of three hospitals refuses
    figures = figures_of_maps(of, own + own)
    assert figures is not None
    assert figures.everybody.patients == 2 * PATIENTS
    assert figures.everybody.random == pytest.approx(30 / 256, abs=1e-4)


def test_a_method_that_the_network_does_not_carry_is_refused_before_anything_is_trained() -> None:
    assert "explained an image of noise" in rehearse(mapped())
    with pytest.raises(StudyError, match="Did you mean hires-cam"):
        rehearse(mapped(evaluation={"maps": {"method": "hirescam"}}))
    with pytest.raises(StudyError, match="is not for a model of classes"):
        rehearse(mapped(evaluation={"maps": {"method": "views"}}))
    with pytest.raises(StudyError, match="passes no gradient"):
        rehearse(mapped(evaluation={"maps": {}}, model={"network": "wavelets"}))


def test_maps_cell_adds_exactly() -> None:
    one = MapCell(5, MapSums.of(InLesion(True, 0.5, 0.25, 0.125)))
    assert (one + one).to_vector().tolist() == [2 * number for number in one.to_vector().tolist()]
