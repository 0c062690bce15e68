"""The evidence pack: it says what was found, names files by digest, and refuses a run whose parts do not fit."""

from __future__ import annotations

import dataclasses
import json
import shutil
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from test_distributed_run import shared
from test_run import phantom_study
from test_run import run as simulate
from typer.testing import CliRunner

from examples import DP
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.training.accounting import epsilon_of
from wardround_common.documents.epsilon_statement import EpsilonStatement, Spent
from wardround_common.documents.signed_document import canonical
from wardround_common.errors import DataError, MessageError, ModelError, StorageError, WardroundError
from wardround_common.keys.identity import Identity
from wardround_common.messages.parameters import Layout
from wardround_common.metrics.shapes import Curve, Estimate
from wardround_common.results import ALL, Results
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed
from wardround_server.rounds.model_file import write_model
from wardround_simulation.evidence.cli import app
from wardround_simulation.evidence.finished_run import digest_of, read_run
from wardround_simulation.evidence.make import Wanted, make_evidence
from wardround_simulation.evidence.page import _member_table, _verdict, render
from wardround_simulation.evidence.record import Attacks, Evidence, MembershipFinding
from wardround_simulation.evidence.statements import make_statements
from wardround_simulation.evidence.verify import verify
from wardround_simulation.federation import Site, insecure_identity, ledger_folder
from wardround_simulation.places import Places, sites_in
from wardround_simulation.workers import InThisProcess

Places_ = tuple[Path, tuple[Site, ...]]


def tiny(**sections: dict[str, object]) -> Study:
    return phantom_study(training={"rounds": 1}, model={"network": "tiny-cnn"}, **sections)


def made(run: Path, sites: tuple[Site, ...] | None, shadows: int = 4) -> Evidence:
    wanted = Wanted(sites, shadows, canaries=100, iterations=2)
    return make_evidence(read_run(run), wanted, InThisProcess(), lambda attack, done, of: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, hospitals: Path, state: Path) -> Places_:
    """Return a finished run with its pack, and its hospitals; tests copy it before they break it."""
    folder = tmp_path_factory.mktemp("evidence") / "run <b>"
    simulate(tiny(privacy=DP), hospitals, state, folder)
    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    made(folder, sites)
    return folder, sites


@pytest.fixture
def copied(finished: Places_, tmp_path: Path) -> Path:
    """Return a copy of the finished run."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


@pytest.mark.slow
def test_a_pack_says_what_was_planned_found_and_left_out(finished: Places_) -> None:
    folder, _ = finished
    evidence = Evidence.from_json((folder / "evidence" / "evidence.json").read_text(), where="here")
    results = Results.from_json((folder / "results.json").read_text())
    assert evidence.study_digest == results.study_digest
    assert {h.name: h.planned for h in evidence.hospitals} == {h.name: h.privacy for h in results.hospitals}
    fingerprints = json.loads((folder / "run.json").read_text())["hospitals"]
    assert {h.name: h.data for h in evidence.hospitals} == fingerprints
    canary, members = evidence.attacks.canaries, evidence.attacks.membership
    assert canary is not None
    assert members is not None
    assert canary.claimed_epsilon == max(h.privacy.epsilon for h in results.hospitals if h.privacy)
    assert canary.epsilon_at_least < canary.claimed_epsilon
    assert canary.noise_found == pytest.approx(canary.noise_multiplier, rel=0.2)
    assert (members.members, members.others, members.shadows) == (36, 24, 4)
    assert members.roc.x[-1] == members.roc.y[-1] == 1
    assert len(evidence.attacks.inversions) == 5
    assert evidence.attacks.not_done == ()


@pytest.mark.slow
def test_a_pack_names_every_file_by_its_digest_and_verifies(finished: Places_) -> None:
    folder, _ = finished
    checked = verify(folder)
    assert {file.path for file in checked.evidence.files} >= {"../model.safetensors", "pictures/original.png"}
    model = next(file for file in checked.evidence.files if file.path == "../model.safetensors")
    assert model.sha256 == digest_of(folder / "model.safetensors")
    assert verify(folder / "evidence") == verify(folder / "evidence" / "evidence.json") == checked


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "results.json", "study.toml", "evidence/pictures/original.png"])
def test_a_file_that_changed_or_went_is_found(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[-3] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(StorageError, match="SHA-256 differs"):
        verify(copied)
    (copied / name).unlink()
    with pytest.raises(StorageError, match="is missing"):
        verify(copied)


@pytest.mark.slow
def test_a_pack_whose_study_was_edited_is_found(copied: Path) -> None:
    pack = copied / "evidence" / "evidence.json"
    pack.write_text(pack.read_text().replace('"epsilon": 8.0', '"epsilon": 1.0', 1))
    with pytest.raises(StorageError, match="does not have the digest"):
        verify(pack)
    pack.write_text("{}")
    with pytest.raises(StorageError, match="not an evidence pack"):
        verify(pack)


def test_a_figure_without_an_interval_stands_alone() -> None:
    none, whole = Estimate(0.5, reason="too few patients"), Estimate(0.5, 0.25, 0.75)
    for of, said in ((none, ["0.500", "50.0 %"]), (whole, ["0.500 (0.250 to 0.750)", "50.0 % (25.0 % to 75.0 %)"])):
        roc = Curve(x=(0.0, 1.0), y=(0.0, 1.0))
        finding = MembershipFinding(shadows=2, members=3, others=3, auroc=of, caught=of, roc=roc)
        assert [row[1].text for row in _member_table(finding).rows[:2]] == said


@pytest.mark.slow
def test_the_page_stands_alone_and_follows_no_markup_of_others(finished: Places_) -> None:
    page = (finished[0] / "evidence" / "evidence.html").read_text()
    assert "run &lt;b&gt;" in page
    assert "run <b>" not in page
    assert "<script" not in page
    assert page.count("<img") == page.count('src="data:image/png;base64,') == 6
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        'xmlns:xlink="http://www.w3.org/1999/xlink"', ""
    ).replace('http-equiv="Content-Security-Policy"', "")


@pytest.mark.slow
def test_without_epsilon_and_images_the_pack_says_what_it_lacks(hospitals: Path, state: Path, tmp_path: Path) -> None:
    simulate(tiny(), hospitals, state, tmp_path / "run")
    evidence = made(tmp_path / "run", None)
    assert evidence.attacks.canaries is None
    assert evidence.attacks.membership is None
    assert [words.split(":")[0] for words in evidence.attacks.not_done] == ["Canary audit", "Membership inference"]
    assert not any("noise" in found.seen for found in evidence.attacks.inversions)
    page = (tmp_path / "run" / "evidence" / "evidence.html").read_text()
    assert "planned ε" in page
    assert "noise multiplier" not in page


@pytest.mark.slow
def test_a_run_whose_noise_is_shared_out_says_which_attacks_it_cannot_have(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    simulate(shared(), hospitals, state, tmp_path / "run")
    evidence = made(tmp_path / "run", sites_in(hospitals, Places(None, None, frozenset(), state)))
    assert [words.split(":")[0] for words in evidence.attacks.not_done] == ["Canary audit", "Membership inference"]
    assert evidence.hospitals[0].planned is not None
    assert not any("noise" in found.seen for found in evidence.attacks.inversions)
    assert verify(tmp_path / "run").evidence == evidence
    statements = make_statements(read_run(tmp_path / "run"), datetime.now(UTC))
    for hospital in evidence.hospitals:
        assert statements[hospital.name].epsilon == pytest.approx(hospital.planned.epsilon)


@pytest.mark.slow
def test_hospitals_that_are_not_the_runs_are_refused(
    finished: Places_, copied: Path, hospitals: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="hospital-a, hospital-b, hospital-c, and here are hospital-a"):
        made(copied, finished[1][:1])
    changed = Path(shutil.copytree(hospitals, tmp_path / "changed"))
    labels = changed / "hospital-b" / "labels.csv"
    labels.write_text(labels.read_text().replace("finding", "x").replace("normal", "finding").replace("x", "normal"))
    sites = sites_in(changed, Places(None, None, frozenset(), tmp_path / "state"))
    with pytest.raises(DataError, match="images or labels of hospital-b have changed"):
        made(copied, sites)


@pytest.mark.slow
def test_each_hospital_states_what_the_accountant_says_of_its_charged_rounds(finished: Places_) -> None:
    folder, _ = finished
    checked = verify(folder)
    assert checked.statements == 3
    study = checked.evidence.study
    page = (folder / "evidence" / "evidence.html").read_text()
    for hospital, one in zip(checked.evidence.hospitals, checked.evidence.roster, strict=True):
        assert hospital.statement is not None
        assert hospital.planned is not None
        statement = EpsilonStatement.read(folder / "evidence" / hospital.statement)
        identity = insecure_identity(study, hospital.name)
        books = open_ledger(ledger_folder(folder / "ledgers", hospital.name), identity, durable=False).books
        (charge,) = books.charged.values()
        assert statement.epsilon == epsilon_of(charge.event.times(1), study.tables()["privacy"]["delta"])
        assert statement.epsilon == pytest.approx(hospital.planned.epsilon)  # all rounds were done
        assert (statement.rounds_charged, statement.rounds_confirmed) == (1, 1)
        assert one == Listed.of(hospital.name, identity.public)
        assert one.fingerprint in page
        assert statement.ledger_link in page
    assert "anybody could have signed these statements" in page
    assert "states more than was planned" not in page
    said = CliRunner().invoke(app, ["verify", str(folder)]).output
    assert "3 statements of hospitals are of this study" in said
    assert checked.evidence.roster[0].fingerprint in said


def test_the_first_line_names_the_class_that_its_figure_is_without() -> None:
    for lacking, said in (((), "0.900 (0.80 to 1.00)"), (("malignant",), "; without “malignant”, which too few")):
        evidence = Evidence.model_construct(
            study=tiny(),
            metrics={ALL: {"auroc": Estimate(0.9, 0.8, 1.0)}},
            not_in_means=lacking,
            attacks=Attacks.model_construct(canaries=None, membership=None),
        )
        assert said in dict(_verdict(evidence))["Good?"]
        assert ("without" in dict(_verdict(evidence))["Good?"]) == bool(lacking)


@pytest.mark.parametrize("deployed", [False, True])
def test_the_first_lines_say_whose_epsilon_they_state_where_those_who_judge_have_another(deployed: bool) -> None:
    """A simulation judges its test patients without noise."""
    evidence = Evidence.model_construct(
        study=tiny(privacy=DP | {"evaluation_epsilon": 9.0}, aggregation={"secure": True}),
        deployed=deployed,
        metrics={},
        attacks=Attacks.model_construct(canaries=None, membership=None),
    )
    said = "ε at most 8 for those trained on, and 9 for those on whom it was judged" if deployed else "ε at most 8"
    assert dict(_verdict(evidence))["Private?"] == said


@pytest.mark.slow
def test_a_hospital_that_states_more_than_was_planned_is_named_on_the_page(finished: Places_) -> None:
    folder, evidence = finished[0] / "evidence", verify(finished[0]).evidence
    attacks = evidence.attacks
    names = [attacks.original, *(found.picture for found in attacks.inversions)]
    pictures = {name: (folder / name).read_bytes() for name in names}
    statements = make_statements(read_run(finished[0]), datetime.now(UTC))
    assert "states more than" not in render(evidence, pictures, statements)
    honest = statements["hospital-b"]
    fields = {f.name: getattr(honest, f.name) for f in dataclasses.fields(Spent)}
    identity = insecure_identity(evidence.study, "hospital-b")
    assert honest.epsilon is not None
    for epsilon in (honest.epsilon + 0.01, None):
        more = EpsilonStatement.make("hospital-b", Spent(**fields | {"epsilon": epsilon}), identity, honest.made)
        page = render(evidence, pictures, statements | {"hospital-b": more})
        assert "hospital-b states more than was planned" in page


def repacked(run: Path, **changes: Any) -> Path:
    """Change the pack's record, and bring its digests up to date, as somebody does who does not want to be found."""
    path = run / "evidence" / "evidence.json"
    pack = json.loads(path.read_text()) | changes
    for file in pack["files"]:
        named = path.parent / file["path"]
        file.update(bytes=named.stat().st_size, sha256=digest_of(named))
    path.write_text(json.dumps(pack))
    return path


@pytest.mark.slow
def test_statements_that_were_swapped_are_found_whatever_the_digests_say(copied: Path) -> None:
    a, b = (copied / "evidence" / "statements" / f"hospital-{place}.statement" for place in (1, 2))
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    with pytest.raises(StorageError, match="SHA-256 differs"):
        verify(copied)
    repacked(copied)
    with pytest.raises(MessageError, match="the statement of hospital-b, not of hospital-a"):
        verify(copied)


@pytest.mark.slow
def test_a_statement_that_was_changed_or_signed_anew_or_is_of_another_study_is_found(copied: Path) -> None:
    path = copied / "evidence" / "statements" / "hospital-1.statement"
    fields = json.loads(path.read_text())
    path.write_bytes(canonical(fields | {"epsilon": 0.1}))
    repacked(copied)
    with pytest.raises(MessageError, match="signature of this epsilon statement is not valid"):
        verify(copied)

    def signed(identity: Identity, **changes: Any) -> bytes:
        said = {k: v for k, v in fields.items() if k != "signature"} | changes | {"identity": identity.public.hex()}
        return canonical(said | {"signature": identity.sign(b"epsilon statement", canonical(said)).hex()})

    path.write_bytes(signed(Identity(b"o" * 32), epsilon=0.1))
    repacked(copied)
    with pytest.raises(MessageError, match="another key than that of hospital-a"):
        verify(copied)
    own = insecure_identity(read_run(copied).results.study, "hospital-a")
    path.write_bytes(signed(own, study="a" * 64))
    repacked(copied)
    with pytest.raises(MessageError, match="of the study aaaa"):
        verify(copied)
    path.write_bytes(signed(own))
    repacked(copied)
    assert verify(copied).statements == 3


@pytest.mark.slow
def test_a_pack_whose_roster_or_statements_do_not_fit_is_found(copied: Path) -> None:
    pack = json.loads((copied / "evidence" / "evidence.json").read_text())
    repacked(copied, roster=pack["roster"][:2])
    with pytest.raises(StorageError, match="roster does not list the hospitals"):
        verify(copied)
    without = [pack["hospitals"][0] | {"statement": None}, *pack["hospitals"][1:]]
    repacked(copied, roster=pack["roster"][1:], hospitals=without)
    with pytest.raises(StorageError, match="statements of some hospitals and not of others"):
        verify(copied)
    files = [file for file in pack["files"] if not file["path"].endswith("hospital-1.statement")]
    repacked(copied, roster=pack["roster"], hospitals=pack["hospitals"], files=files)
    with pytest.raises(StorageError, match="not among its files"):
        verify(copied)


@pytest.mark.slow
def test_a_run_without_ledgers_says_so_and_one_whose_ledger_was_touched_has_no_pack(copied: Path) -> None:
    run, now = read_run(copied), datetime.now(UTC)
    assert set(make_statements(run, now)) == {"hospital-a", "hospital-b", "hospital-c"}
    ledger = ledger_folder(copied / "ledgers", "hospital-b")
    (ledger / "ledger.head").write_text("nonsense")
    with pytest.raises(StorageError, match="head of the ledger cannot be read") as found:
        make_statements(run, now)
    assert found.value.where.startswith("hospital hospital-b")
    (ledger / "ledger.sqlite").unlink()
    with pytest.raises(StorageError, match="the ledger of hospital-b is gone"):
        make_statements(run, now)
    shutil.rmtree(copied / "ledgers")
    assert make_statements(run, now) == {}
    evidence = made(copied, None)
    assert evidence.roster == ()
    assert verify(copied).statements == 0
    assert "This run has no ledgers" in (copied / "evidence" / "evidence.html").read_text()
    assert "no statements of hospitals" in CliRunner().invoke(app, ["verify", str(copied)]).output


def test_a_study_with_a_roster_and_a_name_with_loose_accents_is_stated_too(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    loose = unicodedata.normalize("NFD", "hôpital-d")
    shutil.copytree(hospitals / "hospital-a", tmp_path / "hospitals" / loose)
    shutil.copytree(hospitals / "hospital-b", tmp_path / "hospitals" / "hospital-b")
    listed = [Listed.of(f"real-{letter}", Identity(letter.encode() * 32).public).model_dump() for letter in "de"]
    with_roster = Study.model_validate(tiny().tables() | {"roster": listed})
    simulate(with_roster, tmp_path / "hospitals", state, tmp_path / "run")
    made(tmp_path / "run", None)
    checked = verify(tmp_path / "run")
    assert [one.name for one in checked.evidence.roster] == ["hospital-b", "hôpital-d"]
    statements = make_statements(read_run(tmp_path / "run"), datetime.now(UTC))
    assert {one.study for one in statements.values()} == {tiny().digest()} != {with_roster.digest()}
    assert {one.epsilon for one in statements.values()} == {None}  # no noise: nothing bounds it


def refusal(*arguments: str | Path) -> WardroundError:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, WardroundError), result.output
    return result.exception


@pytest.mark.slow
def test_what_is_no_finished_run_is_refused(copied: Path, tmp_path: Path) -> None:
    assert "no run here" in str(refusal(tmp_path / "nowhere"))
    assert "no evidence pack here" in str(refusal("verify", tmp_path / "nowhere"))
    (copied / "results.json").unlink()
    error = refusal("make", copied)
    assert "not finished: there is no results.json" in str(error)
    assert "--resume" in error.do


@pytest.mark.slow
def test_a_model_that_is_not_the_runs_is_refused(copied: Path) -> None:
    results = Results.from_json((copied / "results.json").read_text())
    path = copied / "model.safetensors"
    tensors = load_file(path)
    layout = Layout(tuple(tensors), tuple(tensor.shape for tensor in tensors.values()))
    vector = read_run(copied).model
    write_model(path, results.study, layout, vector + 1)
    error = refusal(copied)
    assert isinstance(error, ModelError)
    assert "not the one that the run kept" in str(error)
    write_model(path, tiny(), layout, vector)
    assert "of another study" in str(refusal(copied))
    path.write_bytes(b"not a model")
    assert "not a model of Wardround" in str(refusal(copied))


@pytest.mark.slow
def test_study_and_run_of_another_study_are_refused(copied: Path) -> None:
    study = copied / "study.toml"
    study.write_text(study.read_text().replace("epsilon = 8.0", "epsilon = 7.0"))
    assert "the study digest differs" in str(refusal(copied))
