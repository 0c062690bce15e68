"""A study that starts from a released model: its weights by digest, and what its training cost, patient by patient."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from test_run import model_numbers, phantom_study

from examples import DP
from in_process import Done
from in_process import run as command
from wardround_client.spending.ledger.spending import cost, histories_of
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.training.accounting import SampledGaussian, epsilon_of
from wardround_common.errors import StorageError
from wardround_common.results import Results
from wardround_common.results.model_folder import read_model_folder
from wardround_common.results.released import Released, read_released
from wardround_common.study.file import Study
from wardround_common.study.template import toml_value
from wardround_simulation.evidence.finished_run import read_run
from wardround_simulation.evidence.make import Wanted, make_evidence
from wardround_simulation.federation import insecure_identity, ledger_folder
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan, Progress
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
NAMES = ("hospital-a", "hospital-b")


def first_study(**sections: dict[str, Any]) -> Study:
    training = {"rounds": 1} | sections.pop("training", {})
    return phantom_study(**{"study": {"name": "first"}, "privacy": DP} | sections, training=training)


def started(of: Study, released: Released) -> Study:
    tables = of.tables(nulls=False)
    tables["model"]["start"] = released.start.model_dump(mode="json", exclude_none=True)
    return Study.model_validate(tables)


def run(of: Study, hospitals: Path, out: Path, **options: Any) -> Results:
    sites = sites_in(hospitals, Places(None, None, frozenset(), hospitals.parent / "state"))
    show = options.pop("show", lambda progress: None)
    options = {"resume": False, "baselines": False} | options
    return simulate(Plan(of, sites, out, **options), InThisProcess(), show)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two hospitals' images, the run of a private study over them, and its exported model."""
    folder = tmp_path_factory.mktemp("released")
    make_hospitals(folder / "hospitals", seed=3, hospitals=3, patients=10)
    (folder / "others").mkdir()
    (folder / "hospitals" / "hospital-c").rename(folder / "others" / "hospital-c")
    run(first_study(), folder / "hospitals", folder / "first")
    assert command("export", folder / "first", "--out", folder / "model").returncode == 0
    return folder


@pytest.fixture(scope="module")
def second(released: Path) -> Results:
    """Go on from that model in another study, with the ledgers of its run."""
    of = started(first_study(study={"name": "second"}, training={"rounds": 2}), read_released(released / "model"))
    return run(of, released / "hospitals", released / "second", start=released / "model", ledgers=released / "first")


def test_the_first_round_begins_with_the_released_weights_and_the_seed_decides_nothing(
    released: Path, tmp_path: Path
) -> None:
    of = started(
        first_study(training={"learning_rate": 1e-30, "rounds": 1}, privacy={"mechanism": "none"}),
        read_released(released / "model"),
    )
    for seed in (0, 1):
        tables = of.tables(nulls=False)
        tables["model"]["seed"] = seed
        run(Study.model_validate(tables), released / "hospitals", tmp_path / str(seed), start=released / "model")
        assert model_numbers(tmp_path / str(seed)) == model_numbers(released / "model")


def test_the_ledger_composes_what_both_studies_cost_each_patient(released: Path, second: Results) -> None:
    of = second.study
    first = Results.from_json((released / "first" / "results.json").read_text())
    for place, name in enumerate(NAMES):
        folder = ledger_folder(released / "second" / "ledgers", name)
        books = (ledger := open_ledger(folder, insecure_identity(of, name), durable=False)).books
        assert {study for study, _ in books.charged} == {first.study_digest, second.study_digest}
        spent = books.spent()
        (cohort,) = spent  # the same patients, who are in one history
        found = cost(histories_of({cohort: ledger.cohort(cohort).numbers}), spent, DP["delta"])
        events = []
        for results in (first, second):
            privacy = results.hospitals[place].privacy
            assert privacy is not None
            events.append(SampledGaussian(privacy.noise_multiplier, privacy.sampling_rate, privacy.steps))
        both = epsilon_of(tuple(events), DP["delta"])
        assert found.epsilon == pytest.approx([both])
        assert both > max(epsilon_of(event, DP["delta"]) for event in events)
        (note,) = [note for note in second.notes if note.startswith(f"{name}: it starts from the model 'first'")]
        assert f"with all rounds of this study it will be {both:.2f}" in note


def test_a_hospital_new_to_the_model_starts_at_zero_beside_those_who_paid(released: Path, tmp_path: Path) -> None:
    hospitals = tmp_path / "hospitals"
    shutil.copytree(released / "hospitals" / "hospital-a", hospitals / "hospital-a")
    shutil.copytree(released / "others" / "hospital-c", hospitals / "hospital-c")
    of = started(first_study(study={"name": "wider"}), read_released(released / "model"))
    results = run(of, hospitals, tmp_path / "wider", start=released / "model", ledgers=released / "first")
    said = " ".join(results.notes)
    assert "hospital-a: it starts from the model 'first', whose training cost" in said
    assert "cost none of this hospital's" in said.split("hospital-c: ")[1]


def test_a_release_says_where_its_weights_came_from_back_to_the_first(released: Path, second: Results) -> None:
    assert command("export", released / "second", "--out", released / "next").returncode == 0
    folder = read_model_folder(released / "next")
    assert folder.card.start == second.study.model.start
    third = read_released(released / "next").start
    assert [one.name for one in third.trained] == ["second", "first"]
    assert third.trained[1].study == folder.card.start.trained[0].study  # type: ignore[union-attr]
    assert folder.card.privacy is not None
    assert "whose training nothing bounds" in folder.card.privacy.statement  # a simulation, whose noise is known
    assert all(one.epsilon for one in third.trained)  # planned, and no bound
    assert third.cost is None
    page = (released / "second" / "report.html").read_text()
    assert "Starts from" in page
    assert folder.card.start.model in page  # type: ignore[union-attr]


def test_a_run_that_starts_from_a_model_is_resumed_without_it_to_the_same_bytes(
    released: Path, second: Results, tmp_path: Path
) -> None:
    mine = shutil.copytree(released / "model", tmp_path / "model")

    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 1:
            raise KeyboardInterrupt

    options = {"ledgers": released / "first"}
    with pytest.raises(KeyboardInterrupt):
        run(second.study, released / "hospitals", tmp_path / "out", start=mine, show=interrupt, **options)
    shutil.rmtree(mine)
    resumed = run(second.study, released / "hospitals", tmp_path / "out", resume=True, baselines=True)
    content = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "out", released / "second")]
    assert content[0] == content[1]
    assert resumed.evaluation["federated"] == second.evaluation["federated"]
    assert "pooled" in resumed.evaluation


def test_one_hospital_alone_goes_on_from_the_model_under_its_own_budget(released: Path, tmp_path: Path) -> None:
    alone = tmp_path / "hospitals"
    shutil.copytree(released / "hospitals" / "hospital-a", alone / "hospital-a")
    of = first_study(study={"name": "alone"}, aggregation={"min_hospitals": 1})
    options = {"start": released / "model", "ledgers": released / "first"}
    results = run(started(of, read_released(released / "model")), alone, tmp_path / "alone", **options)
    assert results.hospitals[0].privacy is not None
    assert any("whose training cost" in note for note in results.notes)


def typed(of: Study, released: Path, tmp_path: Path, *options: object) -> Done:
    text = "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())
        for section, table in of.tables(nulls=False).items()
    )
    (tmp_path / "study.toml").write_text(text)
    places = ["--hospitals", released / "hospitals", "--state", tmp_path / "state", "--out", tmp_path / "out"]
    return command("simulate", tmp_path / "study.toml", *places, "--workers", 1, *options)


def test_what_is_wrong_with_a_model_to_start_from_is_said_with_what_to_do(released: Path, tmp_path: Path) -> None:
    good = read_released(released / "model")
    of = started(first_study(), good)
    assert "Give its folder: --start MODEL_FOLDER" in typed(of, released, tmp_path).stderr
    assert "wardround study start" in typed(first_study(), released, tmp_path, "--start", released / "model").stderr
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "nowhere", tmp_path / "empty", released / "model" / "model.json", released / "first"):
        ended = typed(of, released, tmp_path, "--start", folder)
        assert ended.returncode not in (0, 1)
        assert "→" in ended.stderr
    broken = shutil.copytree(released / "model", tmp_path / "broken")
    weights = bytearray((broken / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "model.safetensors").write_bytes(weights)
    assert "not the one that the model's card lists" in typed(of, released, tmp_path, "--start", broken).stderr
    other = of.tables(nulls=False)
    other["model"]["start"]["weights"] = "0" * 64
    ended = typed(Study.model_validate(other), released, tmp_path, "--start", released / "model")
    assert "weights differ" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_ledgers_that_cannot_be_continued_are_refused(released: Path, tmp_path: Path) -> None:
    of = started(first_study(model={"seed": 7}), read_released(released / "model"))
    for folder, why in ((tmp_path, "no ledgers"), (released / "first", "made from its seed, 0")):
        with pytest.raises(StorageError, match=why):
            run(of, released / "hospitals", tmp_path / "out", start=released / "model", ledgers=folder)


def test_the_evidence_of_such_a_run_attacks_models_that_start_from_the_same_one(
    released: Path, second: Results
) -> None:
    sites = sites_in(released / "hospitals", Places(None, None, frozenset(), released / "state"))
    wanted = Wanted(sites, shadows=4, canaries=50, iterations=2)
    made = make_evidence(read_run(released / "second"), wanted, InThisProcess(), lambda attack, done, of: None)
    assert made.attacks.membership is not None, made.attacks.not_done
    assert second.study.model.start
    assert second.study.model.start.model in (released / "second" / "evidence" / "evidence.html").read_text()


def test_a_run_that_was_killed_before_it_began_continues_the_ledgers_as_they_were(
    released: Path, tmp_path: Path
) -> None:
    ledgers = tmp_path / "out" / "ledgers"
    shutil.copytree(released / "first" / "ledgers", ledgers)
    for kept in ledgers.glob("*/ledger.sqlite"):
        kept.with_name("ledger.sqlite-wal").write_bytes(b"of another database")
    of = started(first_study(study={"name": "again"}), read_released(released / "model"))
    run(of, released / "hospitals", tmp_path / "out", start=released / "model", ledgers=released / "first")
    for name in NAMES:
        books = open_ledger(ledger_folder(ledgers, name), insecure_identity(of, name), durable=False).books
        assert len({study for study, _ in books.charged}) == 2
