"""The small inputs of ``make cases`` become what is expected of them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cases.__main__ import became_of, show
from cases.case import Case
from cases.families import FAMILIES

CASES = [
    pytest.param(case, id=f"{family}: {case.put_in}", marks=[pytest.mark.slow] if case.slow else [])
    for family, cases in FAMILIES.items()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_put_in_becomes_what_is_expected(case: Case) -> None:
    became = became_of(case)
    assert case.as_expected(became), f"expected: {case.expected}\nbecame: {became}"


@pytest.mark.parametrize(("became", "good"), [("none: 0 pairs", True), ("none: 10 pairs", False), ("0 pairs", False)])
def test_each_clause_that_is_expected_must_be_said_as_whole_words(became: str, good: bool) -> None:
    assert Case("a", "none; 0 pairs", str).as_expected(became) is good


def test_a_case_that_is_not_as_expected_is_shown_and_counted() -> None:
    said = io.StringIO()
    made = {
        "Made up": [Case("a", "one; two", lambda here: "one, two"), Case("b", "one; two", lambda here: "one, three")]
    }
    assert show(made, Console(file=said, width=100)) == 1
    rows = [" ".join(row.split()) for row in said.getvalue().splitlines()]
    assert "a one; two one, two ok" in rows
    assert "b one; two one, three not ok" in rows
    assert rows[-1] == "2 cases: 1 as expected, 1 not"
