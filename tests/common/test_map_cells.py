"""Sums over maps that nobody may have sent are refused, and a study says what it asks for."""

from __future__ import annotations

import numpy as np
import pytest

from examples import DP, study
from wardround_common.errors import MessageError, StudyError
from wardround_common.metrics.sums import UNIT
from wardround_common.results.map_sums import MapCell, figures_of_maps, read_maps
from wardround_common.study.file import Study, parse_study, study_text
from wardround_common.study.words.describe import describe

ONE = round(1 / UNIT)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([9, 9, 1, ONE, ONE, ONE], "fewer patients than the 10"),
        ([0, 12, 1, ONE, ONE, ONE], "contradict"),
        ([13, 12, 1, ONE, ONE, ONE], "contradict"),
        ([12, 12, 13, ONE, ONE, ONE], "contradict"),
        ([12, 12, 1, 13 * ONE, ONE, ONE], "contradict"),
        ([21, 21, 1, ONE, ONE, ONE], "more maps than test images"),
    ],
)
def test_sums_over_maps_that_no_hospital_may_send_are_refused(numbers: list[int], words: str) -> None:
    with pytest.raises(MessageError, match=words):
        read_maps(np.array(numbers, np.int64), 10, 20)


def test_nobody_and_enough_are_read() -> None:
    assert read_maps(np.zeros(6, np.int64), 10, 0).patients == 0
    found = read_maps(np.array([10, 12, 6, 6 * ONE, ONE, ONE], np.int64), 10, 20)
    figures = figures_of_maps(study(evaluation={"maps": {}}), found, {"a": found})
    assert figures is not None
    assert (figures.everybody.pointing_game.value, figures.hospitals["a"].mass_in_lesion) == (0.5, 0.5)
    assert figures_of_maps(study(evaluation={"maps": {}}), MapCell(0, found.sums)) is None
    assert figures_of_maps(study(), found) is None


def test_a_study_without_the_key_has_the_digest_that_it_had_and_one_with_it_says_what_leaves() -> None:
    assert "maps" not in study().canonical().decode()
    asked = study(privacy=DP, evaluation={"maps": {"lesions": ["tumour*"]}})
    (said,) = (s for part in describe(asked) for s in part.sentences if "six whole numbers" in s)
    for words in ("integrated-gradients", "tumour*", "No map leaves", "fewer than 10", "maps = false", "no epsilon"):
        assert words in said
    assert ("models of its own making" in said) != asked.aggregation.secure
    risk = {"name": "risk", "times": (1.0, 2.0), "unit": "years"}
    for task in (
        risk,
        {"name": "measurement", "quantity": "width", "unit": "mm", "low": 0.0, "high": 9.0},
        {"name": "grades", "classes": ("a", "b", "c")},
    ):
        tables = asked.model_dump() | {"task": task, "privacy": {"mechanism": "none"}}
        with pytest.raises(ValueError, match="tells none; remove the key"):
            Study.model_validate(tables)
    with pytest.raises(StudyError, match="tells none; remove the key"):
        parse_study(study_text("s", task="segmentation").replace("[evaluation]", "[evaluation]\nmaps = {}"))
