"""Runs whose hospitals keep a part of the model: resumed, exported and judged as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_run import model, phantom_study, run

import in_process
from services import NAMES, Federation
from wardround_client import networks
from wardround_client.prediction.model import open_model
from wardround_client.site_shift.parts import parts_of
from wardround_common.errors import ModelError
from wardround_common.results import FEDERATED, SHARED, Results
from wardround_common.study.file import Study
from wardround_server.report.tables import quality
from wardround_simulation.federation import OWN_PARTS
from wardround_simulation.run.plan import Progress

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


class KilledError(Exception):
    pass


def kill_after_a_round(progress: Progress) -> None:
    if progress.round and progress.round.number == 1:
        raise KilledError


def own_parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / OWN_PARTS).iterdir()}


def killed_and_whole(of: Study, hospitals: Path, state: Path, folder: Path) -> Results:
    """Run a study whole and killed after a round; they end alike, with a part of its own at each of three hospitals."""
    whole, cut = folder / "whole", folder / "cut"
    results = run(of, hospitals, state, whole, baselines=True)
    with pytest.raises(KilledError):
        run(of, hospitals, state, cut, show=kill_after_a_round)
    run(of, hospitals, state, cut, resume=True)
    assert model(cut) == model(whole)
    assert own_parts(cut) == own_parts(whole)
    assert len(set(own_parts(whole).values())) == 3
    return results


def test_a_run_with_own_heads_goes_on_after_a_kill_and_tells_who_gains(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(training={"rounds": 2, "personal": "head"}, aggregation={"secure": True})
    whole = tmp_path / "whole"
    results = killed_and_whole(of, hospitals, state, tmp_path)
    shown = quality.gained(results)
    assert shown is not None
    assert shown.head[1:3] == ("With its own part", "Shared by all")
    for row, name in zip(shown.rows, results.trainers, strict=True):
        values = [results.evaluation[m][name].value("auroc") for m in (FEDERATED, SHARED)]
        assert values[0] is not None
        assert values[1] is not None
        assert row[-1].text == f"{values[0] - values[1]:+.3f}"
    assert "With its own part" in (whole / "report.html").read_text()
    released = tmp_path / "released"
    said = in_process.run("export", whole, "--out", released)
    assert "not made. A hospital that did not train gets the shared layers without a last one" in said.stdout
    with pytest.raises(ModelError, match="each hospital kept the last layer of its own"):
        open_model(released)
    for name in results.trainers[:2]:
        assert in_process.run("export", whole, "--hospital", name, "--out", tmp_path / name).returncode == 0
    first, second = (open_model(tmp_path / name).network.state_dict() for name in results.trainers[:2])
    differ = {name for name in first if not first[name].equal(second[name])}
    assert differ
    assert differ < set(first)
    refused = in_process.run("export", whole, "--hospital", "nobody", "--out", tmp_path / "nobody")
    assert "no hospital called 'nobody' trained in this run" in refused.stderr


def test_services_keep_their_own_layers_and_write_their_own_models(tmp_path: Path) -> None:
    with Federation(tmp_path) as made:
        made.start()
        of = made.study(training={"personal": "norm", "rounds": 1})
        assert made.run(of)["stage"] == "done", {who: log.getvalue() for who, log in made.logs.items()}
        results = made.place.path / "runs" / "lung"
        assert "normalisation layers of its own" in (results / "report.html").read_text()
        shared = tmp_path / "model"
        done = in_process.run("coordinator", "export", made.place.path, "lung", "--out", shared)
        assert done.returncode == 0, done.stderr
        outside = open_model(shared).network.state_dict()
        own = []
        for name in NAMES:
            out = tmp_path / f"own {name}"
            done = in_process.run("hospital", "own", shared, "--out", out, "--state", made.hospitals[name].path)
            assert done.returncode == 0, done.stderr
            own.append(open_model(out).network.state_dict())
        differ = [
            {name for name in outside if not one[name].equal(other[name])}
            for one, other in [(own[0], own[1]), (own[0], outside), (own[1], outside)]
        ]
        stays = set(parts_of(networks.build(of), of).own.names)
        assert differ[0] == differ[1] == differ[2] == stays
        again = in_process.run("hospital", "own", shared, "--out", out, "--state", made.hospitals[NAMES[1]].path)
        assert "this is there already" in again.stderr


def scaffold(**training: object) -> dict[str, dict[str, object]]:
    work = {"strategy": "scaffold", "server_learning_rate": 1.0, "local_epochs": None, "local_steps": 3}
    return {"training": work | training, "aggregation": {"secure": True, "largest_weight": 1}}


def test_a_run_with_corrected_steps_goes_on_after_a_kill_and_tells_who_gains(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(**scaffold(rounds=2))
    whole = tmp_path / "whole"
    results = killed_and_whole(of, hospitals, state, tmp_path)
    shown = quality.gained(results)
    assert shown is not None
    assert shown.head[1:3] == ("With corrected steps", "Not corrected")
    assert len(shown.rows) == 3
    page = (whole / "report.html").read_text()
    assert "Federated, not corrected" in page
    assert "3 local steps" in page


def test_services_keep_their_control_variates_where_nobody_else_reads_them(tmp_path: Path) -> None:
    with Federation(tmp_path) as made:
        made.start()
        of = made.study(**scaffold(rounds=2))
        assert made.run(of)["stage"] == "done", {who: log.getvalue() for who, log in made.logs.items()}
        files = {name: made.hospitals[name].path / "studies" / of.digest() / "own" for name in NAMES}
        assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o600}
        assert len({file.read_bytes() for file in files.values()}) == len(NAMES)
        refused = in_process.run("hospital", "own", made.place.path, "--state", made.hospitals[NAMES[0]].path)
        assert refused.returncode != 0
