"""What a hospital keeps of a model for itself: it never leaves, outlives a crash, and is charged with its step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from consortium import RUN, identity, roster
from examples import DP, dataset, study, untrained
from ledgers import opened
from wardround_client import networks
from wardround_client.hospital.answering import Built, Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.dataset import Dataset
from wardround_client.site_shift.kept import Kept
from wardround_client.site_shift.parts import STAYS, parts_of
from wardround_client.spending.account import Account, approve, ask
from wardround_client.training.local_work import LocalRun, train
from wardround_common.errors import MessageError, PrivacyError, StorageError, StudyError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Evaluated, EvaluateRequest, Prepared, PrepareRequest, TrainRequest, Update
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.messages import MaskedAnswer
from wardround_common.secagg.terms import write_members
from wardround_common.site_shift.registry import MEASURES
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe

STREAM = insecure_stream(1, "hospital")
SHARED_NOISE = DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 1}


def personal(measure: str | None, **sections: Any) -> Study:
    more = {"ditto_lambda": 0.5} if measure == "ditto" else {}
    training = {"personal": measure} if measure else {}
    return study(**sections | {"training": training | more | sections.get("training", {})})


@pytest.fixture(scope="module", params=["norm", "head", "ditto"])
def of(request: pytest.FixtureRequest) -> Study:
    return personal(request.param)


@pytest.fixture(scope="module")
def built(of: Study) -> Built:
    return build(of)


def hospital(folder: Path, of: Study, built: Built, data: Dataset | None = None, **more: Any) -> Hospital:
    """Open a hospital as a process does that has just started."""
    kept = Kept(folder / "own", of.digest(), built.first_own, durable=False)
    return join(of, data or dataset(), STREAM, built, **more, keeps=kept)


def first(of: Study, built: Built) -> Vector:
    return networks.read_vector(networks.build(of), built.layout)


def trained(at: Hospital, number: int, parameters: Vector) -> Vector:
    answer = at.answer("train", TrainRequest(at.study.digest(), number, parameters).parts())
    assert isinstance(answer, Update)
    return answer.vector


def judged(at: Hospital, number: int, parameters: Vector, split: Any = "validation") -> bytes:
    answer = at.answer("evaluate", EvaluateRequest(at.study.digest(), number, split, parameters).parts())
    assert isinstance(answer, Evaluated)
    return answer.sums.tobytes()


def test_both_halves_of_a_measure_are_installed_under_one_name() -> None:
    assert {*STAYS, "ditto"} == set(MEASURES)


def test_nothing_that_stays_is_named_or_sent(of: Study, built: Built, tmp_path: Path) -> None:
    at = hospital(tmp_path, of, built)
    prepared = at.answer("prepare", PrepareRequest(of.digest(), True).parts())
    assert isinstance(prepared, Prepared)
    whole = networks.layout_of(networks.build(of))
    beside = of.training.measure is not None and of.training.measure.beside
    if not beside:
        assert built.own.names
        assert not set(prepared.layout.names) & set(built.own.names)
        assert prepared.layout.size + built.own.size == whole.size
    for answered in (prepared.parameters, trained(at, 1, first(of, built))):
        assert answered is not None
        assert len(answered) == prepared.layout.size


def test_what_stays_is_what_the_paper_says() -> None:
    network = networks.build(personal("norm"))
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.GroupNorm)}
    assert {name.rpartition(".")[0] for name in build(personal("norm")).own.names} == norms
    heads = parts_of(network, personal("head")).own
    assert heads.shapes[0][0] == 2
    assert heads.size < 0.5 * networks.layout_of(network).size


def test_the_masked_vector_is_as_long_as_what_is_shared(tmp_path: Path) -> None:
    of = personal("norm", aggregation={"secure": True})
    built, names = build(of), "ab"
    desk = Desk(of, "a", identity("a"), roster(names), tmp_path / "a", os.urandom)
    other = Desk(of, "b", identity("b"), roster(names), tmp_path / "b", os.urandom)
    at = hospital(tmp_path, of, built, desk=desk)
    cohort = write_members([one.join(RUN) for one in (desk, other)])
    answer = at.answer("train", TrainRequest(of.digest(), 1, first(of, built), cohort).parts())
    assert isinstance(answer, MaskedAnswer)
    assert len(answer.upload.masked.update) == built.layout.size < networks.layout_of(networks.build(of)).size


@pytest.mark.parametrize("measure", ["norm", "head"])
def test_a_round_trains_the_shared_and_the_own_part_as_one_network(measure: str, tmp_path: Path) -> None:
    of = personal(measure)
    built = build(of)
    at = hospital(tmp_path, of, built)
    begins = first(of, built)
    moved = begins + trained(at, 1, begins)
    again = trained(at, 2, begins)  # from the own part that round 1 left
    plain = build(study())
    network = networks.build(study())
    networks.write_vector(network, built.layout, begins)
    own_after_one = np.empty(0, np.float32)
    for number in (1, 2):
        start = networks.read_vector(network)
        update = train(
            LocalRun(study(), plain.network, plain.layout, dataset().train, None, STREAM), start, number
        ).update
        networks.write_vector(network, plain.layout, start + update)
        if number == 1:
            np.testing.assert_allclose(networks.read_vector(network, built.layout), moved, atol=1e-6)
            own_after_one = networks.read_vector(network, built.own)
            networks.write_vector(network, built.layout, begins)
    np.testing.assert_allclose(networks.read_vector(network, built.layout) - begins, again, atol=1e-6)
    assert at.kept is not None
    assert not np.array_equal(own_after_one, at.kept.first)
    np.testing.assert_allclose(networks.read_vector(network, built.own), at.kept.now(), atol=1e-6)


def test_ditto_holds_the_own_model_to_the_shared_one_by_the_gradient_of_the_paper(tmp_path: Path) -> None:
    of = personal("ditto")
    built = build(of)
    at, start = hospital(tmp_path, of, built), first(of, built)
    shared = trained(at, 1, start)
    held = study(training={"strategy": "fedprox", "proximal_mu": 0.5})
    plain = build(held)
    run = LocalRun(held, plain.network, plain.layout, dataset().train, None, STREAM.child("own model"))
    assert at.kept is not None
    np.testing.assert_allclose(at.kept.now() - start, train(run, start, 1).update, atol=1e-6)
    free = LocalRun(study(), plain.network, plain.layout, dataset().train, None, STREAM)
    assert shared.tobytes() == train(free, start, 1).update.tobytes()  # as if there were no own model


def test_a_round_done_again_after_a_crash_is_the_same_and_no_earlier_one_is_done(
    of: Study, built: Built, tmp_path: Path
) -> None:
    start = first(of, built)
    straight, killed = (hospital(tmp_path / name, of, built) for name in ("straight", "killed"))
    one = trained(straight, 1, start)
    two = trained(straight, 2, start + one)
    assert trained(killed, 1, start).tobytes() == one.tobytes()
    for _ in range(2):  # killed after its own part was kept, before the answer left: it is asked again
        killed = hospital(tmp_path / "killed", of, built)
        assert trained(killed, 2, start + one).tobytes() == two.tobytes()
    assert straight.kept is not None
    assert killed.kept is not None
    assert killed.kept.now().tobytes() == straight.kept.now().tobytes()
    with pytest.raises(MessageError, match="round 1 comes before"):
        trained(killed, 1, start)


def test_a_damaged_own_part_trains_nothing(of: Study, built: Built, tmp_path: Path) -> None:
    start = first(of, built)
    trained(hospital(tmp_path, of, built), 1, start)
    content = (tmp_path / "own").read_bytes()
    for wrong in (content[:-1], content[:200] + b"!" + content[201:], b""):
        (tmp_path / "own").write_bytes(wrong)
        with pytest.raises(StorageError, match="damaged"):
            trained(hospital(tmp_path, of, built), 2, start)


def test_one_charge_gives_no_second_answer_from_another_own_part(tmp_path: Path) -> None:
    of = personal("norm", privacy=DP)
    built, start = build(of), first(personal("norm", privacy=DP), build(of))

    def at() -> Hospital:
        ledger = opened(tmp_path)
        asked = ask(of, dataset(), ledger)
        approve(asked, ledger, None)
        return hospital(tmp_path, of, built, account=Account(ledger, None, asked))

    trained(at(), 1, start)
    two = trained(at(), 2, start)
    assert trained(at(), 2, start).tobytes() == two.tobytes()
    (tmp_path / "own").unlink()  # lost, or an older copy: the same noise must not cover another sum
    with pytest.raises(PrivacyError):
        trained(at(), 2, start)


def test_under_privacy_nothing_that_leaves_depends_on_an_own_model_without_noise(tmp_path: Path) -> None:
    of = personal("ditto", privacy=DP)
    built = build(of)
    start = first(of, built)
    at = hospital(tmp_path, of, built)
    before = trained(at, 1, start), judged(at, 1, start), judged(at, 4, start, "test")
    assert at.kept is not None
    loud = Kept(tmp_path / "loud", of.digest(), built.first_own, durable=False)
    loud.keep(1, -2 * built.first_own, -3 * built.first_own)
    other = join(of, dataset(), STREAM, built, keeps=loud)
    after = trained(other, 1, start), judged(other, 1, start), judged(other, 4, start, "test")
    assert [one if isinstance(one, bytes) else one.tobytes() for one in after] == [
        one if isinstance(one, bytes) else one.tobytes() for one in before
    ]
    without = hospital(tmp_path / "plain", personal("ditto"), build(personal("ditto")))
    trained(without, 1, start)
    shown = judged(without, 1, start)
    assert without.kept is not None
    without.kept.keep(1, built.first_own, -3 * built.first_own)
    assert judged(without, 1, start) != shown  # without privacy it is the own model that is judged


def test_under_privacy_an_own_model_that_diverges_holds_no_update_back(tmp_path: Path) -> None:
    of = personal("ditto", privacy=DP)
    built = build(of)
    start, far = first(of, built), np.full(built.own.size, 1e38, np.float32)
    sent = trained(hospital(tmp_path / "sound", of, built), 1, start)
    at = hospital(tmp_path / "far", of, built)
    assert at.kept is not None
    at.kept.keep(1, far, far)
    np.testing.assert_array_equal(trained(at, 1, start), sent)
    np.testing.assert_array_equal(at.kept.now(), start)


def test_a_hospital_that_only_evaluates_sees_no_other_hospital_s_part(tmp_path: Path) -> None:
    of = personal("norm")
    built = build(of)
    start = first(of, built)
    outside = join(of, untrained(3), STREAM, built)
    fresh = judged(outside, of.external_round, start, "test")
    trained(hospital(tmp_path, of, built), 1, start)  # in the same process, in the same network
    assert judged(outside, of.external_round, start, "test") == fresh


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"privacy": SHARED_NOISE, "aggregation": {"secure": True}, "training": {"local_epochs": None}},
            "would be trained without enough of it",
        ),
        ({"evaluation": {"keep": "best"}}, "write keep = 'last'"),
        ({"training": {"ditto_lambda": 0.1}}, "only personal = 'ditto' uses this key"),
        ({"training": {"personal": "ditto"}}, "personal = 'ditto' needs this key"),
        ({"training": {"personal": "own:x@0123456789ab"}}, "Input should be 'ditto', 'head' or 'norm'"),
        ({"training": {"personal": "head"}, "evaluation": {"external": ["x"]}}, "no complete model where nobody"),
    ],
)
def test_what_cannot_be_kept_honestly_is_refused_with_its_reason(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        personal("norm", **sections)


def test_a_network_without_such_a_part_is_refused_by_name() -> None:
    with pytest.raises(StudyError, match="'wavelets' cannot keep a head apart: all that it learns"):
        build(personal("head", model={"network": "wavelets"}))
    with pytest.raises(StudyError, match="'wavelets' has no normalisation layers"):
        build(personal("norm", model={"network": "wavelets"}))


@pytest.mark.parametrize("privacy", [{"mechanism": "none"}, DP])
def test_a_study_says_what_stays_and_how_it_stands_to_epsilon(of: Study, privacy: dict[str, Any]) -> None:
    measure = of.training.measure
    assert measure is not None
    said = {part.heading: " ".join(part.sentences) for part in describe(personal(measure.name, privacy=privacy))}
    assert measure.stays in said["What does not leave a hospital"]
    assert measure.outside in said["What it will do"]
    assert (measure.private in said["What it costs in privacy"]) == (privacy is DP)


def test_under_secure_sums_nobody_can_take_a_hospitals_next_update_out_of_the_sum_by_what_it_keeps(
    tmp_path: Path,
) -> None:
    """A coordinator leaves one hospital out of a round, and in the next the others' updates are nothing."""
    of = personal("norm", model={"network": "tiny-cnn"}, aggregation={"secure": True})
    built = build(of)
    desk = Desk(of, "a", identity("a"), roster("abc"), tmp_path / "desk", os.urandom, durable=False)
    here = hospital(tmp_path, of, built, desk=desk)
    assert here.kept
    x = first(of, built)
    made_up = x.copy()
    for name, shape, part in built.layout.slices():
        if name == "classify.weight":
            made_up[part] = np.repeat(np.float32([-1e6, 1e6]), shape[1])
    with pytest.raises(MessageError, match="would move the hospital's own part by"):
        here._train(TrainRequest(of.digest(), 2, made_up))
    assert here.kept.trained() == 0
    assert here._train(TrainRequest(of.digest(), 2, x)).vector.any()
    dead = here.kept.now()
    for name, _, part in built.own.slices():
        if name.endswith("bias"):
            dead[part] = -100
    here.kept.keep(2, dead, dead)
    with pytest.raises(MessageError, match="more than half of the update is nothing, or clipped"):
        here._train(TrainRequest(of.digest(), 3, x))
