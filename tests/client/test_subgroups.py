"""Subgroups of test patients: what hospitals write becomes one value, and no small subgroup follows from the sums."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples import dataset, study
from tiny_dicom import tiny
from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.intake.index import scan
from wardround_client.preparation.few_patients import shows_few
from wardround_client.preparation.source import Source
from wardround_client.preparation.subgroups import WITHHELD, merged, safe, subgroups_of
from wardround_client.service.ward import said_of_subgroups
from wardround_client.spending.policy import parse_policy, policy_text
from wardround_common.errors import LabelError, MessageError, StudyError
from wardround_common.messages.rounds import Evaluated, EvaluateRequest
from wardround_common.randomness import insecure_stream
from wardround_common.results.subgroup_sums import BySubgroup, read
from wardround_common.study.file import Study, parse_study
from wardround_common.study.subgroups import Subgroups
from wardround_common.study.template import study_text
from wardround_common.tasks.registry import task_of

LEAST = 10
AGE = {"by": "age", "bands": [40, 60]}
MAKER = {"by": "manufacturer", "values": ["GE", "Siemens"]}


def named(table: dict[str, object], *written: str) -> str:
    one = Subgroups.model_validate(table)
    return one.cells[one.cell_of(written)]


@pytest.mark.parametrize(
    ("table", "written", "cell"),
    [
        ({"by": "sex"}, ["M"], "male"),
        ({"by": "sex"}, ["Male "], "male"),
        ({"by": "sex"}, ["w"], "female"),
        ({"by": "sex"}, ["0"], "unknown"),
        ({"by": "sex"}, ["M", "F"], "other"),
        ({"by": "sex"}, ["", "N/A"], "unknown"),
        (AGE, ["045Y"], "40 to below 60"),
        (AGE, ["018M"], "below 40"),
        (AGE, ["60"], "60 and above"),
        (AGE, ["61Y", "59Y"], "40 to below 60"),
        (AGE, ["450"], "unknown"),
        (MAKER, ["GE MEDICAL SYSTEMS"], "GE"),
        (MAKER, ["Siemens Healthineers"], "Siemens"),
        (MAKER, ["GEMS"], "other"),
        ({"by": "model", "values": ["Avanto", "Avanto fit"]}, ["MAGNETOM Avanto_Fit"], "Avanto fit"),
        ({"by": "column", "column": "density", "values": ["a", "b"]}, ["A"], "a"),
        ({"by": "column", "column": "density", "values": ["a", "b"]}, ["a or b"], "other"),
        ({"by": "column", "column": "psa", "bands": [4]}, ["3,9"], "below 4"),
    ],
)
def test_what_hospitals_write_differently_is_one_value(table: dict[str, object], written: list[str], cell: str) -> None:
    assert named(table, *written) == cell


@pytest.mark.parametrize(
    ("subgroups", "said"),
    [
        ('[{ by = "age" }]', "this needs bands, such as [40, 60]"),
        ('[{ by = "sex", values = ["F"] }]', "this does not use values; remove it"),
        ('[{ by = "sex" }, { by = "sex" }]', "listed more than once"),
        ('[{ by = "model", values = ["X-1", "x 1"] }]', "values differ in their letters or digits"),
        ('[{ by = "column", column = "a" }]', "a column needs either bands, for numbers, or values, for words"),
    ],
)
def test_subgroups_that_cannot_be_told_apart_are_a_fault_of_the_study(subgroups: str, said: str) -> None:
    text = study_text("a").replace("# subgroups = ", f"subgroups = {subgroups}\n# ")
    with pytest.raises(StudyError, match="subgroups") as raised:
        parse_study(text)
    assert said in str(raised.value)


def test_a_study_without_subgroups_has_the_digest_that_it_had() -> None:
    assert "subgroup" not in study().canonical().decode()


def made(counts: list[int], seed: int = 0) -> np.ndarray:
    codes = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(seed).shuffle(codes)
    return codes.astype(np.int64)


@pytest.mark.parametrize(
    "counts", [[30, 3, 0, 0], [30, 30, 0, 3], [12, 11, 0, 2], [9, 9, 9, 9], [50, 0, 4, 0], [100, 1, 1, 1]]
)
def test_a_single_small_subgroup_does_not_follow_from_the_total(counts: list[int]) -> None:
    """All patients together are known: what is left of them beside any subgroups that are told is none or many."""
    safe_codes = merged(made(counts), 2, LEAST, np.random.default_rng(1))
    left = np.bincount(safe_codes, minlength=4)
    for told in itertools.product([0, 1], repeat=4):
        rest = sum(counts) - int(left @ np.array(told))
        assert rest == 0 or rest >= LEAST, (counts, left)


def test_subgroups_that_are_large_enough_are_kept_beside_a_small_one() -> None:
    left = np.bincount(merged(made([40, 30, 0, 3]), 2, LEAST, np.random.default_rng(1)))
    assert left.tolist() == [33, 30, 10]


def test_fewer_patients_than_a_subgroup_needs_tell_nothing() -> None:
    assert set(merged(made([5, 4, 0, 0]), 2, LEAST, np.random.default_rng(1)).tolist()) == {WITHHELD}


def test_models_within_manufacturers_do_not_give_a_rest_away() -> None:
    """30 of one maker, of whom 25 have one of its models: the difference is 5 patients of the maker's other models."""
    maker = np.repeat([0, 1], [30, 30])
    model = np.repeat([0, 2], [25, 35])
    assert shows_few([maker, model], 6)
    assert not shows_few([maker, model], 5)
    told = safe([maker, model], [4, 4], LEAST, seed=0)
    assert set(told[0].tolist()) == {0, 1}
    assert set(told[1].tolist()) == {WITHHELD}


def test_two_subgroups_that_are_nearly_the_same_do_not_give_the_few_away_by_whom_they_differ() -> None:
    """30 of one maker and 30 of one room have 29 in common: histograms less one another show two patients' scores."""
    maker = np.repeat([0, 1], [30, 30])
    room = np.roll(maker, 1)
    assert shows_few([maker, room], 3)
    assert not shows_few([maker, room], 2)
    told = safe([maker, room], [4, 4], LEAST, seed=0)
    assert set(told[0].tolist()) == {0, 1}
    assert set(told[1].tolist()) == {WITHHELD}


def differences(one: np.ndarray, other: np.ndarray) -> set[int]:
    """By how many patients any union of subgroups of one differs from any of the other, by trying all."""

    def unions(codes: np.ndarray) -> list[frozenset[int]]:
        cells = [frozenset(np.flatnonzero(codes == cell).tolist()) for cell in np.unique(codes)]
        return [
            frozenset().union(*some) for size in range(len(cells) + 1) for some in itertools.combinations(cells, size)
        ]

    return {len(ours ^ theirs) for ours, theirs in itertools.product(unions(one), unions(other))}


def test_no_difference_of_two_ways_of_telling_apart_is_small() -> None:
    withheld = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        first = rng.choice(5, 80, p=[0.4, 0.3, 0.05, 0.15, 0.1])
        second = np.where(rng.random(80) < 0.9, first % 3, rng.choice(5, 80))  # nearly nested
        one, other = safe([first, second], [5, 5], LEAST, seed)
        if other[0] == WITHHELD:
            withheld += 1
            continue
        assert all(size == 0 or size >= LEAST for size in differences(one, other)), seed
    assert 0 < withheld < 30


def test_three_ways_of_telling_apart_do_not_give_one_patient_away_whom_no_two_of_them_do() -> None:
    """Women, patients over 60, and who is one or the other: the first two less the third are the women over 60."""
    women = np.repeat([1, 0, 1, 0], [30, 30, 1, 29])
    old = np.repeat([0, 1, 1, 0], [30, 30, 1, 29])
    either = np.maximum(women, old)
    assert np.count_nonzero(women + old - either) == 1
    for pair in itertools.combinations([women, old, either], 2):
        assert not shows_few(pair, LEAST)
    told = safe([women, old, either], [4, 4, 4], LEAST, seed=0)
    assert [WITHHELD in one for one in told] == [False, False, True]


def fewest_in_a_weighting(ways: list[np.ndarray], most: int) -> int:
    """How few patients a weighting is of, up to ``most``, by trying whom it could be of, with ranks of real numbers."""
    kinds, patients = np.unique(np.stack(ways), axis=1, return_counts=True)
    rows = np.array([kind == group for kind in kinds for group in np.unique(kind)], float).T
    rank, found = np.linalg.matrix_rank(rows), most
    for size in range(1, most):
        for some in itertools.combinations(np.flatnonzero(patients < most), size):
            held = int(patients[list(some)].sum())
            if held < found and np.linalg.matrix_rank(np.delete(rows, some, axis=0)) < rank:
                found = held
    return found


def test_whether_any_weighting_shows_few_is_what_trying_them_says() -> None:
    few = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ways = [rng.choice(3, 50, p=rng.dirichlet([1, 1, 1])) for _ in range(2)]
        union = ((ways[0] == 1) | (ways[1] == 1)).astype(np.int64)
        ways.append(np.where(rng.random(50) < 0.93, union, rng.integers(0, 2, 50)))
        fewest = fewest_in_a_weighting(ways, 5)
        few += fewest < 5
        for least in range(2, 6):
            assert shows_few(ways, least) == (fewest < least), (seed, least)
    assert 0 < few < 60


def written(folder: Path, ages: list[str | None], table: str = "") -> tuple[Source, Study]:
    for number, age in enumerate(ages):
        name = f"P{number:02}"
        image = tiny(PatientID=name, PatientName=name, PatientAge=age, PatientSex="F" if number % 2 else "M")
        image.save_as(folder / f"{number:02}.dcm", enforce_file_format=True)
    if table:
        (folder / "labels.csv").write_text(table)
    state = folder.parent / "state"
    return Source(folder, state), study(evaluation={"subgroups": [AGE, {"by": "sex"}], "smallest_subgroup": 5})


def test_age_and_sex_are_read_from_the_images_or_the_hospitals_table(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    source, of = written(folder, ["030Y"] * 6 + ["070Y"] * 6 + [None] * 6)
    files = scan(folder, state=source.state).accepted
    age, sex = subgroups_of(source, of.evaluation, files, "key")
    assert age.tolist() == [0] * 6 + [2] * 6 + [4] * 6  # unknown is a subgroup of its own
    assert sex.tolist() == [1, 0] * 9
    lines = "".join(f"P{number:02},x,{50 if number < 9 else 20}\n" for number in range(18))
    (folder / "labels.csv").write_text(f"patient,label,Age\n{lines}")
    age, sex = subgroups_of(source, of.evaluation, files, "key")
    assert age.tolist() == [1] * 9 + [0] * 9
    assert sex.tolist() == [1, 0] * 9


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    source, of = written(folder, ["030Y"] * 6, "patient,label,age,Age\nP00,x,1,2\n")
    files = scan(folder, state=source.state).accepted
    with pytest.raises(LabelError, match="the column 'age' appears twice"):
        subgroups_of(source, of.evaluation, files, "key")


@pytest.mark.parametrize("allowed", [True, False])
def test_who_approves_reads_of_how_many_patients_sums_would_leave(allowed: bool) -> None:
    policy = parse_policy(policy_text().replace("subgroups = false", f"subgroups = {str(allowed).lower()}"))
    of, at = hospital(1, [20, 17, 3, 0])
    told = said_of_subgroups(of, at.dataset, policy)
    if allowed:
        assert told[1].startswith("The test patients' sums would also leave by sex: female ")
        assert "other 10" in told[1]
    else:
        assert len(told) == 1
        assert "takes part without them" in told[0]


def hospital(seed: int, counts: list[int], tells: bool = True) -> tuple[Study, Hospital]:
    of = study(
        model={"network": "tiny-cnn"}, evaluation={"subgroups": [AGE, {"by": "sex"}], "smallest_subgroup": LEAST}
    )
    data = dataset(seed, patients=200)  # 40 of them test
    told = safe([made([20, 17, 2, 0, 1], seed), made(counts, seed + 9)], [5, 4], LEAST, seed)
    return of, join(
        of, replace(data, by_subgroup=told), insecure_stream(0, str(seed)), build(of), tells_subgroups=tells
    )


def said(of: Study, at: Hospital) -> tuple[np.ndarray, BySubgroup]:
    vector = networks.read_vector(networks.build(of))
    answer = at.answer("evaluate", EvaluateRequest(of.digest(), of.test_round, "test", vector).parts())
    assert isinstance(answer, Evaluated)
    return answer.sums, read(answer.sums, of).groups


def test_of_two_hospitals_neither_finds_a_small_subgroup_of_the_other_in_their_sum() -> None:
    """With two on the roster, each takes its own sums from the opened one and has the other's."""
    (of, mine), (_, theirs) = hospital(1, [37, 2, 1, 0]), hospital(2, [20, 13, 4, 3])
    own, _ = said(of, mine)
    others, expected = said(of, theirs)
    found = read(own + others - own, of).groups
    sizes = [[cell.patients for cell in cells] for cells in found.cells]
    assert sizes == [[cell.patients for cell in cells] for cells in expected.cells]
    assert all(size == 0 or size >= LEAST for cells in sizes for size in cells)
    assert [sum(cells) for cells in sizes] == [40, 40]
    # Of the first hospital all are merged: 37 and 3 are 40, in "other".
    assert [[cell.patients for cell in cells] for cells in said(of, mine)[1].cells][1] == [30, 0, 10, 0]


def test_a_hospital_whose_policy_refuses_gives_its_other_sums() -> None:
    assert parse_policy(policy_text()).protection.subgroups is False
    assert parse_policy(policy_text().replace("subgroups = false\n", "")).protection.subgroups is False
    (of, telling), (_, refusing) = hospital(1, [20, 20, 0, 0]), hospital(1, [20, 20, 0, 0], tells=False)
    (whole, groups), (same, none) = said(of, telling), said(of, refusing)
    assert groups.cells[0][0].patients
    assert not none.to_vector().any()
    assert (whole[: len(whole) - len(none.to_vector())] == same[: len(same) - len(none.to_vector())]).all()


def test_validation_patients_are_never_told_by_subgroup() -> None:
    of, at = hospital(1, [20, 20, 0, 0])
    vector = networks.read_vector(networks.build(of))
    answer = at.answer("evaluate", EvaluateRequest(of.digest(), 1, "validation", vector).parts())
    assert isinstance(answer, Evaluated)
    assert len(answer.sums) == task_of(of.task).length(of.task)


def test_a_small_subgroup_that_a_hospital_sends_all_the_same_is_refused_unread() -> None:
    of, at = hospital(1, [20, 20, 0, 0])
    sums, groups = said(of, at)
    start = len(sums) - len(groups.to_vector())
    forged = sums.copy()
    forged[start] = 3
    with pytest.raises(MessageError, match="fewer patients than the 10"):
        read(forged, of)
