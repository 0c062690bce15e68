"""Sums over patients' outlines say what the patients' values say, add up, and cannot contradict themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics import Estimate, PatientSums
from wardround_common.metrics.bins import doubling_bins, even_bins
from wardround_common.metrics.outlines import (
    DICE_BINS,
    DISTANCE_BINS,
    VOLUME_BINS,
    Outcome,
    Outlines,
    OutlineSums,
    outline_length,
)
from wardround_common.results import evaluate
from wardround_common.tasks.segmentation import METRICS, Segmentation

NAN = math.nan


def patient(
    reference: int, predicted: int, overlap: int, *, voxel_ml: float = 0.001, distance: float = NAN, parts: int = 1
) -> Outlines:
    """Return one patient with one structure."""
    there, drawn = reference > 0, predicted > 0
    counts = [np.array([[number]]) for number in (reference, predicted, overlap)]
    lengths = [np.array([[distance]]), np.array([[distance / 2]])]
    found = [there * parts, there * drawn * (overlap > 0) * parts, int(drawn and not overlap)]
    return Outlines(*counts, np.array([voxel_ml]), *lengths, *(np.array([[number]]) for number in found))


@st.composite
def patients(draw: st.DrawFn, structures: int = 2) -> Outlines:
    def one() -> Outlines:
        columns = []
        voxel_ml = draw(st.sampled_from([NAN, 0.001, 0.07]))
        for _ in range(structures):
            reference, predicted = draw(st.integers(0, 400)), draw(st.integers(0, 400))
            overlap = draw(st.integers(0, min(reference, predicted)))
            measured = reference and predicted and not math.isnan(voxel_ml) and draw(st.booleans())
            distance = draw(st.floats(0, 3000)) if measured else NAN
            parts = draw(st.integers(1, 5))
            columns.append(patient(reference, predicted, overlap, voxel_ml=voxel_ml, distance=distance, parts=parts))
        arrays = [
            np.concatenate([getattr(column, name) for column in columns], axis=1)
            for name in Outlines.__slots__
            if name != "voxel_ml"
        ]
        arrays.insert(3, np.array([voxel_ml]))
        return Outlines(*arrays)

    return Outlines.together([one() for _ in range(draw(st.integers(0, 6)))], structures)


def sums(outlines: Outlines, losses: int | None = None) -> OutlineSums:
    return OutlineSums.of(outlines, np.full(len(outlines.reference) if losses is None else losses, 0.5))


@settings(max_examples=25, deadline=None)
@given(patients(), patients())
def test_sums_of_two_groups_are_those_of_both_and_survive_their_vector(one: Outlines, other: Outlines) -> None:
    both = sums(Outlines.together([one, other], 2))
    vector = (sums(one) + sums(other)).to_vector()
    assert np.array_equal(vector, both.to_vector())
    assert len(vector) == outline_length(2)
    assert vector.min() >= 0
    for form in (vector, vector.astype(np.float64)):
        assert np.array_equal(OutlineSums.from_vector(form, 2).to_vector(), vector)
    assert np.array_equal((both + OutlineSums.empty(2)).to_vector(), vector)


@settings(max_examples=25, deadline=None)
@given(patients(structures=1))
def test_what_is_read_off_sums_is_what_the_patients_say(outlines: Outlines) -> None:
    found, dice = sums(outlines), outlines.dice[:, 0]
    defined = dice[~np.isnan(dice)]
    assert found.patients == len(dice)
    if not len(defined):
        assert found.mean_dice() is None
        assert found.dice_quantile(0.5) is None
        return
    assert found.mean_dice() == pytest.approx(defined.mean(), abs=1e-6)
    for fraction in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        exact = np.quantile(defined, fraction, method="inverted_cdf")
        assert found.dice_quantile(fraction) == pytest.approx(exact, abs=1 / 512 + 1e-12)
    measured = outlines.measured[:, 0] & (outlines.reference[:, 0] > 0)
    errors = outlines.volume_error_ml[measured, 0]
    if measured.any():
        assert found.volume_bias() == pytest.approx(errors.mean(), abs=1e-6)
        assert found.volume_error() == pytest.approx(np.abs(errors).mean(), abs=1e-6)
    distances = np.minimum(outlines.hausdorff_mm[~np.isnan(outlines.hausdorff_mm)], 1024.0)
    if len(distances):
        assert found.mean_hausdorff() == pytest.approx(distances.mean(), abs=1e-6)
        if 0.125 <= (exact := float(np.quantile(distances, 0.5, method="inverted_cdf"))) < 512:
            assert found.hausdorff_quantile(0.5) == pytest.approx(exact, rel=0.023)


def test_who_has_nothing_to_outline_enters_no_mean_and_is_counted_as_right_or_as_an_alarm() -> None:
    group = [
        patient(100, 100, 100, distance=0.0),
        patient(100, 0, 0),
        patient(0, 50, 0),
        patient(0, 0, 0),
        patient(0, 0, 0),
    ]
    found = sums(Outlines.together(group, 1))
    assert [found.count(outcome, 0) for outcome in Outcome] == [1, 1, 1, 2]
    assert found.mean_dice() == 0.5  # one was missed: 0, and not left out
    assert found.mean_hausdorff() == 0.0  # of the one in whom both outlines have a surface
    assert (found.missed(), found.false_alarms()) == (0.5, pytest.approx(1 / 3))
    assert found.volume_error() == pytest.approx(0.05, abs=1e-6)  # mL: 0 and 0.1
    assert found.volume_bias() == pytest.approx(-0.05, abs=1e-6)
    assert found.alarm_volume[0] * 2.0**-20 == pytest.approx(0.05, abs=1e-6)
    assert (found.part_sensitivity(), found.false_parts()) == (0.5, pytest.approx(1 / 5))


def test_a_patient_without_spacing_has_a_dice_and_is_counted_as_not_measured() -> None:
    found = sums(Outlines.together([patient(10, 10, 5, voxel_ml=NAN), patient(10, 10, 10, distance=1.0)], 1))
    assert found.mean_dice() == 0.75
    assert (found.mean_hausdorff(), found.volume_error(), found.unmeasured()) == (1.0, 0.0, 0.5)
    assert [one.value(found, None) for one in METRICS if one.name == "unmeasured"] == [0.5]


def test_structures_that_nobody_has_do_not_enter_the_mean_over_structures() -> None:
    whole = [np.array([[10, 0]]), np.array([[10, 0]]), np.array([[5, 0]])]
    nothing, none = np.full((1, 2), NAN), np.zeros((1, 2), np.int64)
    found = sums(Outlines(*whole, np.array([NAN]), nothing, nothing, np.array([[1, 0]]), none, none))
    assert found.mean_dice() == found.mean_dice(0) == 0.5
    assert found.mean_dice(1) is None


def test_sums_that_no_patients_can_have_are_refused() -> None:
    good = sums(Outlines.together([patient(10, 8, 5, distance=2.0), patient(0, 3, 0)], 1), losses=4).to_vector()
    assert OutlineSums.from_vector(good, 1).mean_dice() == pytest.approx(10 / 18, abs=1e-6)
    fields = {"images": 0, "loss": 1, "found": 3, "alarm": 7, "dice": 10, "larger": 13, "smaller": 14, "parts": 16}
    changes = {
        "images": (-3, "in other patients"),
        "loss": (2**50, "cannot have a loss"),
        "found": (1, "histogram of dice counts other patients"),
        "dice": (2**19, "sum of dice is not in its histogram"),
        "larger": (2**40, "sum of volume is not in its histogram"),
        "parts": (-1, "parts or volumes"),
    }
    for name, (change, words) in changes.items():
        wrong = good.copy()
        wrong[fields[name]] += change
        with pytest.raises(MessageError, match=words):
            OutlineSums.from_vector(wrong, 1)
    for wrong in (good[:-1], good - 1, good + 0.5, good.astype(np.float32), good + 2**62):
        with pytest.raises(MessageError):
            OutlineSums.from_vector(wrong, 1)  # type: ignore[arg-type]
    with pytest.raises(MessageError, match="different numbers of structures"):
        OutlineSums.empty(1) + OutlineSums.empty(2)


def test_outlines_that_contradict_themselves_and_losses_that_diverged_are_refused() -> None:
    with pytest.raises(ModelError, match="overlap in more voxels"):
        patient(3, 2, 3)
    with pytest.raises(ModelError, match="where there is none"):
        patient(3, 0, 0, distance=1.0)
    with pytest.raises(ModelError, match="one loss of 0 or more"):
        OutlineSums.of(Outlines.none(1), np.array([NAN]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 2000), max_size=30))
def test_a_value_lies_in_its_bin(values: list[float]) -> None:
    for bins in (DICE_BINS, DISTANCE_BINS, VOLUME_BINS, even_bins(3), doubling_bins(1, 8, 10, each=2)):
        counts = bins.counts(np.array(values))
        assert counts.sum() == len(values)
        for value in values:
            place = int(np.flatnonzero(bins.counts(np.array([value])))[0])
            assert bins.edges[place] <= value
            assert value < bins.edges[place + 1] or place == bins.count - 1
        low, high = bins.bounds(counts)
        total = sum(min(value, bins.most) for value in values)
        assert low - 1e-6 <= total <= high + 1e-6


def test_an_interval_is_over_patients_and_says_why_there_is_none() -> None:
    section = Segmentation(name="segmentation", classes=("tumour",))

    def judged(patients: Sequence[Outlines]) -> dict[str, Estimate]:
        sums = [OutlineSums.of(one, np.array([0.5])).to_vector() for one in patients]
        by_patient = PatientSums.of(sums, outline_length(1))
        return evaluate(section, by_patient, None, resamples=1000, rng=np.random.default_rng(0)).metrics

    rng = np.random.default_rng(0)
    overlaps = rng.integers(500, 900, 60)
    dice = overlaps / 1000
    some = [patient(1000, 1000, int(overlap)) for overlap in overlaps]
    found = judged(some)["dice"]
    assert found.value == pytest.approx(dice.mean(), abs=1e-5)
    assert found.low is not None
    assert found.high is not None
    spread = 1.96 * dice.std() / math.sqrt(60)
    assert found.low == pytest.approx(dice.mean() - spread, abs=0.01)
    assert found.high == pytest.approx(dice.mean() + spread, abs=0.01)
    nothing = [patient(0, 0, 0)] * 9
    assert judged(some + nothing)["dice"].value == pytest.approx(dice.mean(), abs=1e-5)
    assert judged(some)["dice_median"].value == pytest.approx(np.median(dice), abs=0.01)
    assert judged([])["dice"].reason == "no patients"
    assert judged(nothing)["dice"].reason == "no patient has the structure"
    assert "one patient" in judged(some[:1])["dice"].reason
    assert "too few" in judged([*some[:1], *nothing])["dice"].reason
