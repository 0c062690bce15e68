"""How probabilities are written: told from 0 and 1, in words and in files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround_common.counting import chance, kept


@pytest.mark.parametrize(
    ("probability", "written"),
    [
        (0.0, "0.000"),
        (1.2345e-7, "1.23e-07"),
        (0.000312, "0.000312"),
        (0.00996, "0.00996"),
        (0.25, "0.250"),
        (0.9, "0.900"),
        (0.99951, "0.999510"),
        (1 - 2.0**-20, "0.999999046"),
        (1.0, "1.000"),
    ],
)
def test_a_point_near_an_end_keeps_three_figures_of_its_distance(probability: float, written: str) -> None:
    assert chance(probability) == written


def test_with_two_figures_a_rare_finding_is_not_said_to_be_impossible() -> None:
    assert [chance(p, 2) for p in (0.873, 0.0042, 0.996, 0.9987)] == ["0.87", "0.0042", "0.9960", "0.9987"]


@given(st.floats(2.0**-40, 1 - 2.0**-20), st.integers(2, 4))
def test_nothing_between_the_ends_is_written_as_an_end_or_far_from_it(probability: float, figures: int) -> None:
    near = min(probability, 1 - probability)
    for written in (float(chance(probability, figures)), kept(probability)):
        assert 0 < written < 1
        assert abs(written - probability) <= near * 10.0 ** (1 - figures)
