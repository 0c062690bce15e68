"""What the model's images are like is summed as scores are: masked, once, of validation patients alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_rounds import Memory
from test_runs import at_once, begin

from consortium import MemoryJournal, identity, roster
from examples import STUDY, dataset
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_client.training.features import features_of
from wardround_common.errors import MessageError, StorageError
from wardround_common.messages.rounds import Evaluated, EvaluateRequest
from wardround_common.metrics.unlike import DistanceSums, FeatureSums, jackknifed
from wardround_common.randomness import insecure_stream
from wardround_common.results import Results
from wardround_common.results.unlike import parse_unlike
from wardround_common.study.file import Study, parse_study
from wardround_common.study.roster import Listed
from wardround_common.study.template import study_text
from wardround_server.rounds.course import State, describe_usual, not_usual, run_study
from wardround_server.rounds.secure_rounds import Consortium, Rounds
from wards import Wards

__all__ = ["at_once"]  # the fixture that is used in every test of this file
SIX = "abcdef"


def usual_study(*, secure: bool, **evaluation: Any) -> Study:
    tables: dict[str, Any] = {section: dict(keys) for section, keys in STUDY.items()}
    tables["training"]["rounds"] = 1
    tables["model"]["network"] = "tiny-cnn"
    tables["aggregation"] |= {"secure": secure}
    tables["evaluation"] |= {"usual": 0.9} | evaluation
    tables["roster"] = [Listed.of(one, identity(one).public).model_dump() for one in SIX]
    return Study.model_validate(tables)


class Asked(Wards):
    """Hospitals that count how often they are asked for an evaluation."""

    evaluations = 0

    def _answer(self, name: str, kind: str, question: Any) -> Any:
        self.evaluations += kind == "evaluate"
        return super()._answer(name, kind, question)


def trained(of: Study, folder: Path) -> tuple[Asked, State, Consortium | None]:
    wards = Asked(folder / "wards", SIX)
    wards._studies[of.digest()] = of
    consortium = Consortium(os.urandom(16), roster(SIX), MemoryJournal()) if of.aggregation.secure else None
    state = run_study(of, wards, lambda event: None, None, consortium)
    return wards, state, consortium


@pytest.mark.parametrize("secure", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_sums_are_those_of_all_validation_patients_and_a_run_that_was_cut_off_asks_for_the_rest(
    tmp_path: Path, secure: bool
) -> None:
    of, path = usual_study(secure=secure), tmp_path / "unlike.json"
    wards, state, consortium = trained(of, tmp_path)
    found = describe_usual(of, wards, state, path, consortium)
    assert found is not None
    built = build(of)
    networks.write_vector(built.network, built.layout, state.chosen.model)
    ours = [features_of(built.network, of, dataset(ord(name)).validation) for name in SIX]
    everybody = sum((FeatureSums.of(features) for features, _ in ours), FeatureSums.empty())
    histogram = sum((DistanceSums.of(jackknifed(*each, everybody)) for each in ours), DistanceSums.empty())
    assert found.moments == tuple(everybody.to_vector().tolist())
    assert found.histogram == tuple(histogram.to_vector().tolist())
    assert found.threshold == histogram.threshold(0.9)
    before = wards.evaluations
    assert describe_usual(of, wards, state, path, consortium) == found
    assert wards.evaluations == before  # what is there is not asked for again
    path.write_bytes(found.model_copy(update={"histogram": ()}).content())  # killed between the two sums
    assert describe_usual(of, wards, state, path, consortium) == found
    assert wards.evaluations == before + len(SIX)


@pytest.mark.parametrize("content", [None, b"", b'{"format": "wardround unlike 1"}'])
def test_a_note_of_the_sums_that_cannot_be_read_is_an_error_with_what_to_do(
    content: bytes | None, tmp_path: Path
) -> None:
    if content is None:
        (tmp_path / "unlike.json").mkdir()  # as unreadable as a file without rights, also for root
    else:
        (tmp_path / "unlike.json").write_bytes(content)
    of = usual_study(secure=False)
    state = run_study(of, Memory(of), lambda event: None)
    with pytest.raises(StorageError) as refused:
        describe_usual(of, Memory(of), state, tmp_path / "unlike.json")
    assert refused.value.where == str(tmp_path / "unlike.json")
    assert "or move it away" in refused.value.do


def test_a_study_that_does_not_ask_for_it_sums_nothing_and_too_few_images_give_nothing(tmp_path: Path) -> None:
    of = usual_study(secure=False, usual=None)
    wards, state, _ = trained(of, tmp_path)
    before = wards.evaluations
    assert describe_usual(of, wards, state, tmp_path / "unlike.json") is None
    assert wards.evaluations == before
    of = usual_study(secure=False)
    wards, state, _ = trained(of, tmp_path)
    wards.fail = lambda name, kind: name in "ef" and kind == "evaluate"  # 16 images are left
    assert describe_usual(of, wards, state, tmp_path / "unlike.json") is None
    assert not (tmp_path / "unlike.json").exists()


def test_a_hospital_sums_features_once_after_the_last_round_and_only_if_the_study_says_so(tmp_path: Path) -> None:
    of = usual_study(secure=False)
    hospital = join(of, dataset(), insecure_stream(0, "a"), build(of))
    vector = networks.read_vector(networks.build(of))
    first, second = of.features_rounds
    for number, split in ((1, "features"), (second, "features"), (first, "distances"), (first, "test")):
        everybody = FeatureSums.empty().to_vector() if split == "distances" else None
        question = EvaluateRequest(of.digest(), number, split, vector, everybody=everybody)  # type: ignore[arg-type]
        with pytest.raises(MessageError):
            hospital.answer("evaluate", question.parts())
    with pytest.raises(MessageError):  # distances rest on sums
        hospital.answer("evaluate", EvaluateRequest(of.digest(), second, "distances", vector).parts())
    hospital.answer("evaluate", EvaluateRequest(of.digest(), first, "features", vector).parts())
    silent = usual_study(secure=False, usual=None)
    hospital = join(silent, dataset(), insecure_stream(0, "a"), build(silent))
    with pytest.raises(MessageError, match="sums no features"):
        hospital.answer("evaluate", EvaluateRequest(silent.digest(), 2, "features", vector).parts())


def test_a_hospital_leaves_out_all_images_of_a_patient_where_it_says_how_far_one_is_from_the_others() -> None:
    of, ours = usual_study(secure=False), dataset(images_per_patient=3)
    built = build(of)
    hospital = join(of, ours, insecure_stream(0, "a"), built)
    vector = networks.read_vector(networks.build(of))
    hospital.show(vector)
    features, patients = features_of(built.network, of, ours.validation)
    everybody = FeatureSums.of(features)
    question = EvaluateRequest(of.digest(), of.features_rounds[1], "distances", vector, everybody=everybody.to_vector())
    told = hospital.answer("evaluate", question.parts())
    assert isinstance(told, Evaluated)
    by_patient, by_image = (
        DistanceSums.of(jackknifed(features, codes, everybody)).to_vector()
        for codes in (patients, np.arange(len(patients)))
    )
    assert not np.array_equal(by_patient, by_image)
    assert np.array_equal(told.sums, by_patient)


def test_other_sums_than_those_that_were_answered_to_are_another_question(tmp_path: Path) -> None:
    of = usual_study(secure=True)
    wards, state, consortium = trained(of, tmp_path)
    assert consortium is not None
    path = tmp_path / "unlike.json"
    found = describe_usual(of, wards, state, path, consortium)
    assert found is not None
    doubled = np.array(found.moments) * 2  # each distance would be from other sums: two histograms tell of a patient
    path.write_bytes(found.model_copy(update={"histogram": (), "moments": tuple(doubled.tolist())}).content())
    assert describe_usual(of, wards, state, path, consortium) is None


def test_features_that_are_asked_for_again_leave_the_note_of_a_later_sum() -> None:
    """A run without a threshold asks again when it is resumed; the sum over test patients may be half done then."""
    of = usual_study(secure=True)
    rounds = Rounds(of, Asked(Path(), SIX), Consortium(b"", roster(SIX), MemoryJournal()), {})
    rounds._write_note("evaluate", of.test_round, (), ("a", "b"))
    for number in of.features_rounds:
        rounds._write_note("evaluate", number, (), ())
    assert rounds._note("evaluate", of.test_round) == ((), ("a", "b"))


@pytest.mark.parametrize(
    ("keys", "counted"),
    [
        ({}, "20 validation images together"),
        ({"data.record": "slice"}, "20 validation images together"),
        ({"data.record": "series"}, "20 validation series together"),
        ({"data.record": "patient"}, "20 validation patients together"),
    ],
)
def test_too_few_are_counted_as_the_model_is_asked_about_them(keys: dict[str, str], counted: str) -> None:
    assert counted in not_usual(parse_study(study_text("a")).but(keys))
    assert "20 validation examinations together" in not_usual(parse_study(study_text("a", task="segmentation")))


@pytest.mark.slow
def test_a_deployed_run_ends_with_what_its_images_are_like_or_says_that_it_does_not_know(tmp_path: Path) -> None:
    for hospitals, known in ((SIX, True), ("abcd", False)):
        of = usual_study(secure=known)
        folder = tmp_path / hospitals
        wards = Wards(folder / "wards", SIX)
        wards.fail = lambda name, kind, there=hospitals: name not in there and kind == "evaluate"  # type: ignore[misc]
        runs = begin(folder, wards)
        runs.begin(of)
        runs.wait()
        run = folder / "runs/test"
        results = Results.from_json((run / "results.json").read_text())
        assert (not_usual(of) in results.notes) is not known
        if known:
            found = parse_unlike((run / "unlike.json").read_bytes(), run)
            assert found.distances.records == sum(len(dataset(ord(name)).validation) for name in SIX)
        assert results.evaluation  # the test patients judge the model all the same
