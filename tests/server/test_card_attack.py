"""Somebody who reads a card's table of training data, and computes: no small number of a hospital follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from wardround_common.results import HospitalRecord, Results
from wardround_server.report.example import example
from wardround_server.report.model_card import FEW, SMALLEST, data

Counts = tuple[int, int, int, int]
"""Of one hospital: patients, images, and images of each of two classes."""
MOST = 2000
SMALL = SMALLEST - 1
EACH = 7
"""Numbers of each hospital: its counts, and whether patients and the two classes are small."""


@pytest.fixture(scope="module")
def results() -> Results:
    return example(baselines=False)


def with_counts(results: Results, hospitals: Sequence[Counts]) -> Results:
    first, made = results.hospitals[0], []
    for number, (patients, images, *classes) in enumerate(hospitals):
        assert first.train is not None
        train = first.train.model_copy(update={"patients": patients, "images": images, "per_class": tuple(classes)})
        made.append(HospitalRecord(name=f"hospital-{number}", train=train))
    study = results.study
    outside = study.evaluation.model_copy(update={"external": ()})
    return results.model_copy(
        update={"hospitals": tuple(made), "study": study.model_copy(update={"evaluation": outside})}
    )


def cells(table: str) -> tuple[list[list[str]], list[str]]:
    """Return the hospitals' rows, and the sums, where there are any."""
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    whole = [cells for name, *cells in rows if name == "All together"]
    return [cells for name, *cells in rows if name != "All together"], whole[0] if whole else []


class Attack:
    """All that the table says, as whole numbers: patients, images, two classes, and which of these are small."""

    def __init__(self, rows: list[list[str]], whole: list[str]) -> None:
        self.of, self.whole = rows, whole
        self.size = EACH * len(self.of) + 2
        self.low, self.high = np.zeros(self.size), np.full(self.size, float(MOST))
        self.high[-2:] = 1.0
        self.laws: list[LinearConstraint] = []
        for hospital, row in enumerate(self.of):
            at = EACH * hospital
            self.low[at], self.high[at + 4 : at + EACH] = 1, 1.0
            self.law({at + 1: 1, at + 2: -1, at + 3: -1}, 0, 0)  # each image is of one class
            self.law({at + 1: 1, at: -1}, 0, MOST)  # each patient has one
            for place, cell in enumerate(row):
                if cell == FEW:
                    self.low[at + place], self.high[at + place] = 1, SMALL
                elif cell != "–":
                    self.low[at + place] = self.high[at + place] = int(cell.replace(",", ""))
            self.is_small({at: 1}, at + 4)
            self.law({at: 1, at + 4: SMALLEST}, SMALLEST, MOST + SMALLEST)  # 0: the number of patients is not small
            self.is_small({at + 2: 1}, at + 5)
            self.is_small({at + 3: 1}, at + 6)
        hospitals = [EACH * hospital for hospital in range(len(self.of))]
        if any(row[0] == "–" for row in rows):  # hidden since that of one is small
            self.law({at + 4: 1 for at in hospitals}, 1, len(rows))
        elif any(row[2] == "–" for row in rows):
            self.law({at + small: 1 for at in hospitals for small in (5, 6)}, 1, 2 * len(rows))
        for place, cell in enumerate(self.whole):
            of_all = {at + place: 1 for at in hospitals}
            if cell == FEW:
                self.law(of_all, 1, SMALL)
            elif cell != "–":
                value = int(cell.replace(",", ""))
                self.law(of_all, value, value)
            elif place > 1:
                self.is_small(of_all, self.size + place - 4)
        if self.whole and self.whole[2] == "–":
            self.law({self.size - 1: 1, self.size - 2: 1}, 1, 2)

    def law(self, terms: dict[int, int], low: float, high: float) -> None:
        row = np.zeros(self.size)
        row[list(terms)] = list(terms.values())
        self.laws.append(LinearConstraint(row, low, high))

    def is_small(self, terms: dict[int, int], small: int) -> None:
        """Let a sum be from 1 to 9 where ``small`` is 1."""
        most = MOST * len(terms)
        self.law(terms | {small: most}, 0, most + SMALL)
        self.law(terms | {small: -1}, 0, most)

    def range_of(self, place: int) -> Iterator[int]:
        """Yield the least and the largest number that a cell can be."""
        for sign in (1, -1):
            aim = np.zeros(self.size)
            aim[place] = sign
            found = milp(aim, integrality=np.ones(self.size), bounds=Bounds(self.low, self.high), constraints=self.laws)
            assert found.status == 0, found.message
            yield round(found.x[place])


def disclosed(hospitals: Sequence[Counts], results: Results) -> list[tuple[int, int]]:
    """Return hospitals and places of the small numbers that can be one value only."""
    table = data(with_counts(results, hospitals))
    assert table is not None
    attack, found = Attack(*cells(table)), []
    for hospital, counts in enumerate(hospitals):
        for place, value in enumerate(counts):
            if 0 < value < SMALLEST:
                least, most = attack.range_of(EACH * hospital + place)
                assert least <= value <= most  # what the attacker assumes is true
                if least == most:
                    found.append((hospital, place))
    return found


@pytest.mark.parametrize(
    "hospitals",
    [
        pytest.param([(47, 47, 40, 7), (7, 7, 4, 3), (600, 600, 350, 250)], id="images are the sum of their classes"),
        pytest.param([(9, 9, 5, 4), (9, 9, 4, 5), (600, 600, 350, 250)], id="two small numbers are as large as any"),
        pytest.param([(1, 20, 15, 5)] * 10 + [(600, 600, 350, 250)], id="ten small numbers are as small as any"),
        pytest.param([(100, 100, 91, 9), (100, 100, 91, 9), (600, 600, 350, 250)], id="the same of a class"),
        pytest.param([(5, 10, 6, 4), (1, 1, 1, 0), (600, 600, 350, 250)], id="ten images, and one more"),
        pytest.param([(50, 50, 47, 3), (60, 60, 58, 2), (600, 600, 350, 250)], id="a small sum"),
    ],
)
def test_no_small_number_follows_from_the_table(hospitals: list[Counts], results: Results) -> None:
    assert disclosed(hospitals, results) == []


def test_no_small_number_follows_from_tables_drawn_at_random(results: Results) -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        drawn: list[Counts] = []
        for _ in range(int(rng.integers(2, 4))):
            first, second = (int(rng.integers(1, 2 * SMALLEST if rng.random() < 0.7 else 200)) for _ in "ab")
            patients = max(1, round((first + second) * rng.choice([1.0, 0.5])))
            drawn.append((patients, first + second, first, second))
        assert disclosed(drawn, results) == [], drawn


def test_the_attack_finds_what_a_table_gives_away() -> None:
    """A small number that stands beside the sum of all."""
    rows, whole = [["–", "–", "–", "–"], ["600", "600", "–", "–"]], ["607", "607", "353", "254"]
    least, most = Attack(rows, whole).range_of(0)
    assert least == most == 7


def test_sums_that_give_nothing_away_are_shown(results: Results) -> None:
    table = data(with_counts(results, [(47, 50, 43, 7), (80, 80, 60, 20), (600, 600, 350, 250)]))
    assert table is not None
    assert re.search(r"All together \| 727 \| 730 \| 453 \| 277$", table.rstrip(" |"))


def test_a_small_hospital_does_not_follow_from_all_test_patients_either(results: Results) -> None:
    """Whoever knows how many patients test in all knows about how many train, as the study's fractions deal them."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sizes = [int(rng.integers(1, SMALLEST)), *map(int, rng.integers(SMALLEST, 90, 3))]
        table = data(with_counts(results, [(many, many, many - many // 2, many // 2) for many in sizes]))
        assert table is not None
        attack = Attack(*cells(table))
        attack.law({EACH * hospital: 1 for hospital in range(len(sizes))}, sum(sizes), sum(sizes))
        least, most = attack.range_of(0)
        assert least < most
        assert least <= sizes[0] <= most
