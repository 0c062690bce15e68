"""Figures by subgroup are read off the sums that hospitals send, in a simulation and between services alike."""

from __future__ import annotations

import csv
import functools
import io
import operator
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from test_run import phantom_study, run

import wards
from examples import untrained
from wardround_client.hospital.answering import Hospital
from wardround_client.preparation.subgroups import safe
from wardround_common.messages.rounds import Evaluated, EvaluateRequest
from wardround_common.results import FEDERATED, Results, Subgrouping
from wardround_common.results.subgroup_sums import BySubgroup, figures_by_subgroup, read
from wardround_common.study.file import Study
from wardround_server.report import summary
from wardround_server.rounds import approval
from wardround_server.service.runs import Runs
from wardround_simulation.federation import Federation, open_hospital
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.places import Places, sites_in
from wards import Wards, rostered

SUBGROUPS = {"subgroups": [{"by": "age", "bands": [50]}, {"by": "sex"}], "smallest_subgroup": 5}


def sent(hospital: Hospital, of: Study, folder: Path) -> BySubgroup:
    """Ask a hospital about the model that was written, as a coordinator asks."""
    arrays = load_file(folder / "model.safetensors")
    vector = np.concatenate([arrays[name].ravel() for name in hospital.built.layout.names]).astype(np.float32)
    question = EvaluateRequest(hospital.study.digest(), of.test_round, "test", vector)
    answer = hospital.answer("evaluate", question.parts())
    assert isinstance(answer, Evaluated)
    return read(answer.sums, of).groups


def values(subgroups: tuple[Subgrouping, ...]) -> list[tuple[str, int, int, dict[str, float | None]]]:
    return [
        (cell.value, cell.patients, cell.images, {name: one.value for name, one in cell.metrics.items()})
        for subgrouping in subgroups
        for cell in subgrouping.cells
    ]


@pytest.mark.slow
def test_a_simulation_has_the_figures_of_the_sums_that_its_hospitals_would_send(tmp_path: Path) -> None:
    make_hospitals(tmp_path / "hospitals", seed=5, hospitals=2, patients=60)
    for table in sorted((tmp_path / "hospitals").glob("*/labels.csv")):
        lines = list(csv.reader(table.read_text().splitlines()))
        ages, sexes = (30, 45, 51, 80, ""), ("M", "female", "W", "male", "F")
        more = [["age", "Sex"], *([ages[at % 5], sexes[(at // 3) % 5]] for at in range(len(lines)))]
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([*line, *cells] for line, cells in zip(lines, more, strict=False))
    of = phantom_study(evaluation={"test": 0.5} | SUBGROUPS, training={"rounds": 1})
    results = run(of, tmp_path / "hospitals", tmp_path / "state", tmp_path / "run")
    assert Results.from_json(results.to_json()) == results

    sites = sites_in(tmp_path / "hospitals", Places(None, None, frozenset(), tmp_path / "state"))
    there = Federation(of, sites)
    sums = [sent(open_hospital(there, site.name), of, tmp_path / "run") for site in sites]
    point = next(iter(results.evaluation[FEDERATED].values())).threshold
    assert values(results.subgroups) == values(figures_by_subgroup(of, functools.reduce(operator.add, sums), point))
    age, sex = results.subgroups
    assert (age.patients, sex.patients) == (60, 60)
    assert [cell.value for cell in sex.cells] == ["female", "male"]
    assert all(cell.metrics["brier"].low is not None for cell in sex.cells)  # intervals over patients
    assert not re.search(r"female|unknown", (tmp_path / "run/run.json").read_text())  # nobody's own value is kept

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary(results))
    shown, page = console.export_text(), (tmp_path / "run/report.html").read_text()
    for text in (shown, page):
        assert "Of the subgroups it does worst on " in text
    assert re.search(r"sex: female +\d+", shown)
    assert "On subgroups of patients" in page


@pytest.mark.slow
def test_services_add_them_in_the_same_secure_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def data(seed: int) -> object:
        """Make a hospital whose patients have ages and sexes; all of them test, as where nobody trains."""
        made, rng = untrained(seed, 60), np.random.default_rng(seed)
        codes = [rng.choice(4, 60, p=[0.5, 0.4, 0.0, 0.1]), rng.choice(4, 60, p=[0.6, 0.37, 0.0, 0.03])]
        return replace(made, by_subgroup=safe(codes, [4, 4], 5, seed))

    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(wards, "untrained", data)
    tables = rostered(names="abcde", external="cde", min_hospitals=2, rounds=1).tables()
    tables["evaluation"] |= SUBGROUPS
    of = Study.model_validate(tables)
    exchange = Wards(tmp_path / "wards", "abcde")
    runs = Runs(tmp_path / "runs", lambda name: exchange)
    runs.begin(of)
    runs.wait()
    assert runs.standings()[0].stage == "done"
    results = Results.from_json((tmp_path / "runs/test/results.json").read_text())
    age, sex = results.subgroups
    # Those that trained have no subgroups here, and are counted in none.
    assert age.patients == sex.patients == 3 * 60
    assert {cell.value for cell in age.cells} <= {"below 50", "50 and above", "unknown", "other"}
    auroc = age.cells[0].metrics["auroc"]
    assert auroc.value is not None
    assert auroc.low is not None
    assert auroc.high is not None
    assert auroc.low < auroc.value < auroc.high
    assert "On subgroups of patients" in (tmp_path / "runs/test/report.html").read_text()
