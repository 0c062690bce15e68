"""What each input is worth is summed over the same patients, told as missing, and shows no few of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from consortium import MemoryJournal, identity, roster
from examples import dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.bags import KeptBags
from wardround_client.preparation.dataset import Dataset
from wardround_client.preparation.examples import Examples
from wardround_client.training.evaluation import patient_sums, sums_of
from wardround_client.training.withheld import withheld_by_patient, withheld_sums
from wardround_common.errors import MessageError
from wardround_common.metrics import ScoreSums
from wardround_common.randomness import insecure_stream
from wardround_common.results.subgroup_sums import length, nobody, read
from wardround_common.results.withheld import figures_of_withheld
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe
from wardround_server.rounds.course import judge_study, run_study
from wardround_server.rounds.secure_rounds import Consortium
from wards import Wards, rostered

ASKED = {
    "record": "patient",
    "bag_size": 2,
    "variables": [{"name": "age", "range": [0.0, 100.0]}, {"name": "sex", "values": ["f", "m"]}],
}
OF = study(data=ASKED, model={"network": "tiny-cnn"}, evaluation={"withheld": True, "smallest_subgroup": 5})

STREAM = insecure_stream(0, "a hospital's")


def told(data: Dataset, ages: int, sexes: int) -> Dataset:
    """Return a hospital whose records of two images are told an age of this many test patients, and a sex of these."""

    def of(examples: Examples) -> Examples:
        count = len(examples) // 2
        rows = np.asarray(examples.rows).reshape(count, 2)
        finding = np.asarray(examples.targets[::2])
        numbers = np.zeros((count, 5), np.float32)
        numbers[:, :2] = np.stack([np.ones(count), 2.0 * finding - 1], axis=1)
        numbers[:, 2:4] = 1
        numbers[ages:, :2], numbers[sexes:, 2:] = 0, 0
        kept = KeptBags(np.asarray(examples.kept), rows, numbers)
        return Examples(kept, np.arange(count), finding, np.asarray(examples.patients[::2]))

    return replace(data, train=of(data.train), validation=of(data.validation), test=of(data.test))


def here(ages: int, sexes: int, seed: int = 1) -> Dataset:
    return told(dataset(seed, patients=60, images_per_patient=2), ages, sexes)  # 12 of whom test


def test_a_withheld_input_is_what_a_missing_one_is() -> None:
    network, data = networks.build(OF), here(12, 12)
    whole = sums_of(network, OF, data.test)
    age, sex = withheld_sums(network, OF, data.test, whole, STREAM)
    assert (age.known, sex.known) == (12, 12)
    nobody_has = here(0, 12).test
    assert age.sums.to_vector().tolist() == sums_of(network, OF, nobody_has).to_vector().tolist()
    assert age.sums.to_vector().tolist() != whole.to_vector().tolist()
    by_patient = withheld_by_patient(network, OF, data.test)
    assert [sums.total().tolist() for _, sums in by_patient] == [one.sums.to_vector().tolist() for one in (age, sex)]


@pytest.mark.parametrize(("have", "known"), [(4, 0), (5, 5), (7, 7), (8, 7), (11, 7), (12, 12)])
def test_an_input_that_few_patients_have_or_lack_does_not_show_these_few(have: int, known: int) -> None:
    """Who has it changes from the one sum to the other, and who lacks it does not: 5 of the 12 at least, or nobody."""
    network, data = networks.build(OF), here(have, 12)
    head = network.head.weight.data  # type: ignore[union-attr]
    head[1, networks.FEATURES : networks.FEATURES + 2] = torch.tensor([2.0, 1.0])  # no score is what another one was
    whole = sums_of(network, OF, data.test)
    age, _ = withheld_sums(network, OF, data.test, whole, STREAM)
    assert isinstance(whole, ScoreSums)
    assert isinstance(age.sums, ScoreSums)
    assert age.known == known
    assert np.minimum(whole.histograms, age.sums.histograms).sum() == 12 - known
    again, _ = withheld_sums(network, OF, data.test, whole, STREAM)
    assert again.to_vector().tolist() == age.to_vector().tolist()


def test_sums_of_an_input_that_few_have_are_refused() -> None:
    one = ScoreSums.of(np.array([0] * 8), np.array([[0.2, 0.8]] * 8, np.float32), np.array([0.2] * 8)).to_vector()
    with pytest.raises(MessageError, match="fewer records than the 5"):
        read(np.concatenate([one, [4], one, [0], one]), OF)


def test_sums_that_are_not_of_the_same_records_are_refused() -> None:
    assert nobody(OF).to_vector().shape == (length(OF),)
    one = ScoreSums.of(np.array([1] * 6), np.array([[0.2, 0.8]] * 6, np.float32), np.array([0.2] * 6)).to_vector()
    assert [w.known for w in read(np.concatenate([one, [6], one, [0], one]), OF).withheld] == [6, 0]
    for wrong in ([one, [6], 2 * one, [0], one], [one, [7], one, [0], one], [one, [-1], one, [0], one]):
        with pytest.raises(MessageError, match="an input was withheld of other records"):
            read(np.concatenate(wrong), OF)


def test_what_an_input_is_worth_is_the_headline_with_it_less_without_it_over_the_same_draws_of_patients() -> None:
    network, data = networks.build(OF), here(12, 12)
    head = network.head.weight.data  # type: ignore[union-attr]
    head.zero_()
    head[1, networks.FEATURES + 1] = 3.0  # age alone decides, and it is the label
    whole = patient_sums(network, OF, data.test)
    age, sex = figures_of_withheld(OF, whole, withheld_by_patient(network, OF, data.test), None, resamples=200)
    assert (age.value, age.gain) == (0.5, 0.5)
    assert age.low == age.high == 0.5  # drawn in pairs, it is so in every draw
    assert (sex.value, sex.gain, sex.low, sex.high) == (1.0, 0.0, 0.0, 0.0)
    all_sums = sums_of(network, OF, data.test)
    known = [(12, withheld.sums) for withheld in withheld_sums(network, OF, data.test, all_sums, STREAM)]
    summed = figures_of_withheld(OF, all_sums, known, None)
    assert [(one.value, one.gain, one.low) for one in summed] == [(0.5, 0.5, None), (1.0, 0.0, None)]


def test_a_study_says_what_leaves_and_refuses_the_key_without_inputs() -> None:
    words = " ".join(sentence for passage in describe(OF) for sentence in passage.sentences)
    assert "the same sums with each of age and sex withheld" in words
    assert "Where fewer than 5 of a hospital's test patients have an input" in words
    with pytest.raises(ValueError, match="no input that could be withheld"):
        study(evaluation={"withheld": True})
    assert "withheld" not in study().model_dump_json()


@pytest.mark.slow
def test_a_federation_sums_it_securely_in_the_message_of_the_test_sums(tmp_path: Path) -> None:
    tables = rostered(rounds=1, secure=True).tables()
    tables["data"] |= ASKED
    tables["evaluation"] |= {"withheld": True, "smallest_subgroup": 5}
    of = Study.model_validate(tables)
    wards, built = Wards(tmp_path), build(of)
    wards._studies[of.digest()] = of
    sets = {"a": here(12, 12, 1), "b": here(7, 3, 2), "c": here(0, 12, 3)}
    for name, data in sets.items():
        desk = Desk(of, name, identity(name), roster(wards.names), tmp_path / name, os.urandom)
        wards._open[name, of.digest()] = join(of, data, insecure_stream(0, name), built, desk)
    consortium = Consortium(os.urandom(16), roster(wards.names), MemoryJournal())
    judged = judge_study(of, wards, run_study(of, wards, lambda event: None, None, consortium), consortium)
    assert [one.known for one in judged.withheld] == [12 + 7 + 0, 12 + 0 + 12]
    each = [
        withheld_sums(built.network, of, data.test, sums_of(built.network, of, data.test), insecure_stream(0, name))
        for name, data in sets.items()
    ]
    for place, one in enumerate(judged.withheld):
        assert one.sums.to_vector().tolist() == sum(their[place].sums.to_vector() for their in each).tolist()
