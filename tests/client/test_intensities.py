"""What hospitals add up of their images' brightness: patients count alike, are bounded, and all standardise alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from examples import dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.intensities import intensities_of
from wardround_common.errors import MessageError, StudyError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Evaluated, EvaluateRequest, TrainRequest, Update
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.intensities import UNIT, Intensities
from wardround_common.randomness import insecure_stream
from wardround_common.study.before import INPUT_TENSORS, Before
from wardround_common.study.file import Study
from wardround_common.study.start import Start, Trained
from wardround_common.study.words.describe import describe

OF = study(data={"normalisation": "federation"}, training={"count_classes": True})


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return join(OF, dataset(), insecure_stream(1, "hospital"), build(OF))


def first(hospital: Hospital, **figures: float) -> Vector:
    """Return the first parameters with a mean and a deviation of the input."""
    vector = networks.read_vector(networks.build(OF)).copy()
    for name, _, part in hospital.built.layout.slices():
        if name in INPUT_TENSORS and INPUT_TENSORS[name] in figures:
            vector[part] = figures[INPUT_TENSORS[name]]
    return vector


def test_the_sums_of_several_hospitals_are_the_mean_and_deviation_over_all_patients() -> None:
    parts = [dataset(seed).train for seed in (1, 2)]
    found = intensities_of(parts[0]) + intensities_of(parts[1])
    pixels = np.concatenate([part.images(slice(None)).ravel() for part in parts]).astype(np.float64)
    assert found.mean()[0] == pytest.approx(pixels.mean(), abs=1e-5)
    assert found.deviation()[0] == pytest.approx(pixels.std(), abs=1e-4)
    assert Intensities.read(found.to_vector(), 1) == found


def test_a_patient_with_many_images_or_wild_pixels_counts_no_more_than_any_other() -> None:
    data = dataset().train
    images = np.concatenate([data.kept, np.repeat(data.kept[data.rows[:1]], 500, axis=0)])
    for rows in ([data.rows[0]] * 500, len(data.kept) + np.arange(500)):  # patches of one image, and other images
        many = Examples(
            images,
            np.append(data.rows, rows),
            np.append(data.targets, [data.targets[0]] * 500),
            np.append(data.patients, [data.patients[0]] * 500),
        )
        assert intensities_of(many) == intensities_of(data)
    wild = np.array(data.kept)
    wild[data.rows[0]] = 1e9
    broken = np.array(data.kept)
    broken[data.rows[0]] = np.nan
    for kept in (wild, broken):
        moved = intensities_of(replace(data, kept=kept)).to_vector() - intensities_of(data).to_vector()
        assert moved[0] == 0
        assert np.abs(moved * UNIT).max() <= 1


@pytest.mark.parametrize("wrong", [[2, 3 * 2**20, 0], [-1, 0, 0], [2, 0.5, 0], [2, 0]])
def test_sums_that_no_patients_have_are_refused(wrong: list[float]) -> None:
    with pytest.raises(MessageError):
        Intensities.read(np.array(wrong), 1)


def test_a_hospital_sums_what_the_study_asks_before_its_first_round(hospital: Hospital) -> None:
    question = EvaluateRequest(OF.digest(), 0, "before", first(hospital)).parts()
    answer = hospital.answer("evaluate", question)
    assert isinstance(answer, Evaluated)
    found = Before.read(answer.sums, OF)
    assert found.intensities == intensities_of(dataset().train)
    assert found.classes is not None
    assert found.classes.records == len(dataset().train)


def test_the_first_round_takes_the_seed_s_parameters_with_any_possible_brightness_and_no_others(
    hospital: Hospital,
) -> None:
    def train(vector: Vector) -> Update:
        question = TrainRequest(OF.digest(), 1, vector, classes=ClassCounts((6, 6))).parts()
        answer = hospital.answer("train", question)
        assert isinstance(answer, Update)
        return answer

    update = train(first(hospital, mean=0.3, deviation=0.2)).vector
    for name, _, part in hospital.built.layout.slices():
        assert np.any(update[part]) == (name not in INPUT_TENSORS)  # no training changes them
    other = first(hospital, mean=0.3, deviation=0.2)
    other[-1] += 1
    with pytest.raises(MessageError, match="does not start from the parameters"):
        train(other)
    for wrong in ({"mean": -0.1}, {"mean": 1.1}, {"deviation": 0.0}, {"deviation": 2.0}):
        with pytest.raises(MessageError, match="not that of numbers from 0 to 1"):
            train(first(hospital, **wrong))


def test_the_network_sees_images_with_the_mean_taken_off_and_the_deviation_divided_by(hospital: Hospital) -> None:
    plain, images = networks.build(study()).eval(), torch.from_numpy(dataset().test.images(slice(None)))
    hospital.show(first(hospital, mean=0.25, deviation=0.5))
    torch.testing.assert_close(hospital.built.network.eval()(images), plain((images - 0.25) / 0.5))


def test_exact_sums_are_refused_under_privacy_and_said_without() -> None:
    with pytest.raises(StudyError, match="one patient changes the sums"):
        Study.new(normalisation="federation")
    noisy = Study.new(normalisation="federation", normalisation_epsilon=0.8)
    said = " ".join(s for p in describe(noisy) for s in p.sentences)
    assert "Each hospital adds noise that is enough by itself to these numbers" in said
    assert "By itself it costs a patient epsilon 0.8" in said
    said = " ".join(s for p in describe(Study.new(privacy="none", normalisation="federation")) for s in p.sentences)
    assert "only a sum over hospitals can be read: the number of training patients and, for each channel" in said
    start = Start(name="first", model="a" * 64, weights="b" * 64, trained=(Trained(study="c" * 64, name="first"),))
    goes_on = Study.of_tables({**OF.tables(), "model": OF.tables()["model"] | {"start": start.model_dump()}}, where="a")
    said = " ".join(s for p in describe(goes_on) for s in p.sentences)
    assert "standardises each channel as the one that it starts from" in said
    assert "for each channel, the sums" not in said
