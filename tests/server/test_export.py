"""What leaves a coordinator of a finished run is whole, signed by the hospitals, and of this study."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from test_runs import at_once, begin
from typer.testing import CliRunner

from consortium import identity
from examples import study as example_study
from models_made import model_folder
from wardround_client.prediction.model import open_model
from wardround_common.documents.epsilon_statement import COMPOSED, EpsilonStatement, Spent
from wardround_common.documents.exported_run import APPROVALS, Approval, read_approvals, study_toml, write_approvals
from wardround_common.documents.model_release import verify_model
from wardround_common.errors import MessageError, ModelError, StorageError, WardroundError
from wardround_common.keys.identity import fingerprint
from wardround_common.messages.parameters import vector_digest
from wardround_common.metrics.unlike import FEATURES, DistanceSums, FeatureSums
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.results.model_folder import read_model_folder
from wardround_common.results.parts import Part
from wardround_common.results.record import SplitCounts
from wardround_common.results.unlike import UNLIKE, Unlike
from wardround_common.shell.release_cli import app
from wardround_common.study.file import Study, parse_study, read_study
from wardround_common.study.privacy import DpSgd
from wardround_common.study.template import study_text
from wardround_common.tasks.registry import task_of
from wardround_server.report.example import example
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.rounds.exported_model import Release, make_card
from wardround_server.rounds.model_file import write_model
from wardround_server.service.export import early_statements, export_run
from wards import rostered

__all__ = ["at_once"]  # the fixture that is used in every test of this file


def stated(folder: Path, of: Study, hospital: str, signer: str = "", study: str = "", charged: int = 2) -> Path:
    spent = Spent(study or of.digest(), 1e-5, charged, charged, 0.5, COMPOSED, f"7:{'a' * 64}:{'b' * 128}")
    file = folder / f"{hospital}{signer}{study[:1]}.statement"
    file.write_bytes(EpsilonStatement.make(hospital, spent, identity(signer or hospital), datetime.now(UTC)).content())
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    runs = begin(folder)
    runs.begin(rostered(rounds=1))
    runs.wait()
    assert runs.standings()[0].stage == "done"
    return folder / "runs" / "test"


def test_an_export_has_the_study_that_was_approved_the_approvals_and_the_statements(
    finished: Path, tmp_path: Path
) -> None:
    of, out = rostered(rounds=1), tmp_path / "out"
    files = export_run(finished, out, [stated(tmp_path, of, "b")])
    assert sorted(files) == sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert read_study(out / "study.toml").digest() == of.digest()
    assert [approval.hospital for approval in read_approvals(out / APPROVALS, of)] == ["a", "b", "c"]
    assert json.loads((out / "run.json").read_text())["study"] == of.digest()
    assert EpsilonStatement.read(out / "statements" / "hospital-2.statement").hospital == "b"
    export_run(finished, tmp_path / "later", [stated(tmp_path, of, "c")])
    names = {path.name for path in (tmp_path / "later" / "statements").iterdir()}
    assert names == {"hospital-2.statement", "hospital-3.statement"}  # what came before is kept


def test_a_statement_that_was_made_before_the_run_was_over_is_told(finished: Path, tmp_path: Path) -> None:
    run, of = tmp_path / "run", rostered(rounds=1)
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("statements"))
    export_run(run, tmp_path / "out", [stated(tmp_path, of, name) for name in "ab"])
    assert early_statements(run) == {}
    export_run(run, tmp_path / "out", [stated(tmp_path, of, "b", charged=0)])
    assert early_statements(run) == {"b": (0, 1)}
    export_run(run, tmp_path / "out", [stated(tmp_path, of, "b")])
    assert early_statements(run) == {}


def trained_on(patients: int) -> SplitCounts:
    return SplitCounts(patients=patients, images=30, per_class=(15, 15))


def with_counts(run: Path, patients: dict[str, int | None]) -> None:
    """Rewrite what a run says of how many patients each hospital trained on."""
    results = Results.from_json((run / "results.json").read_text())
    hospitals = [
        one.model_copy(update={"train": None if (count := patients[one.name]) is None else trained_on(count)})
        for one in results.hospitals
    ]
    changed = results.model_copy(update={"hospitals": tuple(hospitals)})
    (run / "results.json").write_text(changed.to_json())


def test_a_public_release_has_no_statement_that_tells_a_small_number_of_patients(
    finished: Path, tmp_path: Path
) -> None:
    run, of = tmp_path / "run", rostered(rounds=1)
    shutil.copytree(finished, run)
    with_counts(run, {"a": 10, "b": 10, "c": None})
    given = [stated(tmp_path, of, name) for name in "abc"]
    export_run(run, tmp_path / "out", given, Release(public=True))
    shown = sorted(path.name for path in (tmp_path / "out" / "statements").iterdir())
    assert shown == ["hospital-1.statement", "hospital-2.statement"]
    with_counts(run, {"a": 9, "b": 10, "c": None})  # all test patients less those of b would be about those of a
    export_run(run, tmp_path / "one-small", release=Release(public=True))
    assert not (tmp_path / "one-small" / "statements").exists()
    export_run(run, tmp_path / "whole")
    assert len([*(tmp_path / "whole" / "statements").iterdir()]) == 3
    with_counts(run, {"a": 9, "b": 9, "c": None})
    export_run(run, tmp_path / "whole", release=Release(public=True))  # over what an export for hospitals left
    assert not (tmp_path / "whole" / "statements").exists()


def test_an_exported_model_says_what_was_chosen_on_the_runs_validation_sums(finished: Path, tmp_path: Path) -> None:
    export_run(finished, tmp_path)
    of, found = rostered(rounds=1), read_model_folder(tmp_path)
    assert found.study == of
    validation = read_checkpoint(finished / "checkpoint", of).validation
    assert validation is not None
    task, card = task_of(of.task), found.card
    assert card.point == task.point(validation, of.evaluation.sensitivity)
    assert card.temperature == task.temperature(validation)
    assert (card.rounds, card.engine, card.validation_images) == ((1,), "deployment", validation.records)
    results = Results.from_json((tmp_path / "results.json").read_text())
    judged = results.evaluation[FEDERATED][ALL]
    assert card.judgement is not None
    assert card.judgement.metrics == {name: estimate.value for name, estimate in judged.metrics.items()}


def test_a_card_says_what_training_cost_and_that_simulated_noise_protects_nobody() -> None:
    results = example()
    said = make_card(results, None, {}).privacy
    assert said is not None
    assert said.epsilon == max(one.privacy.epsilon for one in results.hospitals if one.privacy)
    assert "simulated" in said.statement
    deployed = make_card(results.model_copy(update={"engine": "deployment"}), None, {}).privacy
    assert deployed is not None
    assert "against anyone who reads a hospital's updates or the model" in deployed.statement
    assert make_card(example(private=False), None, {}).privacy is None


def test_a_card_says_whose_epsilon_it_states_and_what_those_spent_on_whom_the_model_was_judged() -> None:
    """Without "training" it would be wrong where the sums over test patients may cost more than the training."""
    exact = example().model_copy(update={"engine": "deployment"})
    noised = exact.model_copy(
        update={"study": exact.study.but({"aggregation.secure": True, "privacy.evaluation_epsilon": 9.0})}
    )
    for results, says in ((exact, False), (noised, True)):
        said = make_card(results, None, {}).privacy
        assert said is not None
        assert said.statement.startswith("No training patient spent more than epsilon")
        assert ("validation and test patients" in said.statement) is says
        assert ("more than epsilon 9 at the same delta" in said.statement) is says


def test_a_card_says_the_studys_bound_where_what_was_spent_tells_a_small_number_of_patients() -> None:
    results = example()
    assert isinstance(results.study.privacy, DpSgd)
    spent = next(one.privacy for one in results.hospitals if one.privacy).model_copy(update={"epsilon": 0.123})
    few = [one.model_copy(update={"train": trained_on(9), "privacy": spent}) for one in results.hospitals]
    said = make_card(results.model_copy(update={"hospitals": tuple(few)}), None, {}).privacy
    assert said is not None
    assert said.epsilon == results.study.privacy.epsilon
    assert "0.123" not in said.statement


def test_a_model_of_another_round_than_the_runs_last_is_not_exported(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    state = read_checkpoint(run / "checkpoint", rostered(rounds=1))
    write_model(run / "model.safetensors", rostered(rounds=1), state.layout, state.parameters + 1)
    with pytest.raises(ModelError, match="not the one that the run kept"):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_statement_that_is_not_the_hospitals_or_not_of_this_study_is_neither_kept_nor_exported(
    finished: Path, tmp_path: Path
) -> None:
    of = rostered(rounds=1)
    for file, said in (
        (stated(tmp_path, of, "a", signer="b"), "signed with another key"),
        (stated(tmp_path, of, "z"), "does not list z"),
        (stated(tmp_path, of, "a", study="c" * 64), "of the study cccc"),
    ):
        with pytest.raises(MessageError, match=said):
            export_run(finished, tmp_path / "out", [file])
    assert not (finished / "statements" / "hospital-1.statement").exists()
    assert not (tmp_path / "out").exists()


def test_an_approval_that_was_changed_is_found(tmp_path: Path) -> None:
    of, other = rostered(rounds=1), rostered(rounds=2)
    file = tmp_path / APPROVALS
    file.write_bytes(write_approvals(of, [Approval(hospital="a", signature="0" * 128)]))
    with pytest.raises(MessageError, match="the approval of a is not signed with its key"):
        read_approvals(file, of)
    with pytest.raises(MessageError, match="of another study"):
        read_approvals(file, other)
    file.write_bytes(write_approvals(of, [Approval(hospital="z", signature="0" * 128)]))
    with pytest.raises(MessageError, match="does not list z"):
        read_approvals(file, of)
    for broken in ("{", '{"study": 1}', '{"study": "", "approvals": [{"hospital": "a"}]}'):
        file.write_text(broken)
        with pytest.raises(StorageError, match="not a file of approvals"):
            read_approvals(file, of)


def test_a_model_is_not_written_among_other_files_or_over_another_model(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds other files"):
        export_run(finished, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    export_run(finished, tmp_path / "out")
    export_run(finished, tmp_path / "out")  # once more, after an interruption
    with pytest.raises(StorageError, match="an exported model already"):
        export_run(tmp_path / "out", tmp_path / "again")
    other = model_folder(tmp_path / "other", example_study())
    with pytest.raises(StorageError, match="holds another model"):
        export_run(finished, other)


def test_a_release_is_signed_as_a_whole_and_a_changed_missing_or_added_file_is_named(
    finished: Path, tmp_path: Path
) -> None:
    us, out = identity("coordinator"), tmp_path / "out"
    release = Release(identity=us, role="coordinator")
    files = export_run(finished, out, [stated(tmp_path, rostered(rounds=1), "b")], release)
    found = verify_model(out)
    assert found.fingerprint == fingerprint(us.public)
    assert {*found.names} == {*files} - {"SHA-256SUMS", "SHA-256SUMS.sig", "release-key.pem"}
    assert "statements/hospital-2.statement" in found.names
    text = (out / "model-card.md").read_text()
    assert f"signed by the coordinator, whose key has the fingerprint **{found.fingerprint}**" in text
    for name in found.names:
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(StorageError, match=f"{name} was changed"):
            verify_model(out)
        with pytest.raises(WardroundError):
            open_model(out)
        (out / name).unlink()
        with pytest.raises(StorageError, match=f"{name} is missing"):
            verify_model(out)
        (out / name).write_bytes(content)
    (out / "more.txt").write_text("")
    with pytest.raises(StorageError, match=r"more\.txt is not part of this release"):
        verify_model(out)
    (out / "more.txt").unlink()
    (out / "release-key.pem").unlink()  # an unsigned release has neither key nor signature
    with pytest.raises(StorageError, match="public key is missing"):
        verify_model(out)


def test_the_command_verifies_a_model_by_fingerprint_key_or_file_and_says_that_nobody_signed(
    finished: Path, tmp_path: Path
) -> None:
    us, out = identity("coordinator"), tmp_path / "out"
    export_run(finished, out, release=Release(identity=us))
    run = CliRunner()
    pem = tmp_path / "known.pem"
    pem.write_bytes((out / "release-key.pem").read_bytes())
    for known in (fingerprint(us.public), us.public.hex(), str(pem)):
        said = run.invoke(app, ["verify", str(out), "--coordinator", known])
        assert (said.exit_code, said.output.splitlines()[-1]) == (0, "Verified.")
    for no_key in ("known.pme", "12345", str(out / "model.json")):
        assert "public key" in str(run.invoke(app, ["verify", str(out), "--coordinator", no_key]).exception)
    other = run.invoke(app, ["verify", str(out), "--coordinator", identity("a").public.hex()])
    assert "signed with another key" in str(other.exception)
    export_run(finished, out)  # nobody signs: the signature of before is gone
    said = run.invoke(app, ["verify", str(out)])
    assert "nobody signed this model" in str(said.exception)
    assert run.invoke(app, ["verify", str(out), "--unsigned"]).output.endswith("nobody signed that.\n")
    assert "nobody signed" in str(run.invoke(app, ["verify", str(out), "--coordinator", us.public.hex()]).exception)
    (out / "SHA-256SUMS").unlink()
    assert "of an older form" in str(run.invoke(app, ["verify", str(out), "--unsigned"]).exception)


def test_a_public_release_has_no_exact_numbers_of_patients_and_still_opens(finished: Path, tmp_path: Path) -> None:
    files = export_run(finished, tmp_path / "out", release=Release(public=True))
    assert not {"report.html", "results.json"} & {*files}
    card = read_model_folder(tmp_path / "out").card
    assert card.files.keys() == {"model.safetensors", "study.toml"}
    exact = Results.from_json((finished / "results.json").read_text(), where="").evaluation[FEDERATED][ALL]
    assert any(value and len(str(value)) > 5 for value in (one.value for one in exact.metrics.values()))
    told = {} if card.judgement is None else card.judgement.metrics
    assert all(value is None or value == round(value, 3) for value in told.values())
    assert card.trainers
    assert card.trainers == Results.from_json((finished / "results.json").read_text(), where="").trainers


def test_a_public_release_has_no_exact_sums_of_validation_images_features(finished: Path, tmp_path: Path) -> None:
    """By them who was among 80 was told with an AUROC of 0.94, by anybody who has the image."""
    run, of = tmp_path / "run", rostered(rounds=1)
    shutil.copytree(finished, run)
    features = np.random.default_rng(0).normal(size=(30, FEATURES))
    sums = FeatureSums.of(features / np.linalg.norm(features, axis=1, keepdims=True))
    state = read_checkpoint(run / "checkpoint", of)
    summed = Unlike(
        model=vector_digest(state.chosen.model),
        fraction=0.95,
        moments=tuple(sums.to_vector().tolist()),
        histogram=tuple(DistanceSums.of(np.full(30, 1.5)).to_vector().tolist()),
    )
    (run / UNLIKE).write_bytes(summed.content())
    export_run(run, tmp_path / "for hospitals")
    assert read_model_folder(tmp_path / "for hospitals").unlike is not None
    assert UNLIKE not in export_run(run, tmp_path / "out", release=Release(public=True))
    assert read_model_folder(tmp_path / "out").card.unlike is None
    assert UNLIKE not in export_run(run, tmp_path / "for hospitals", release=Release(public=True))
    assert not (tmp_path / "for hospitals" / UNLIKE).exists()


def test_a_form_that_was_made_before_does_not_stay_beside_another_model(finished: Path, tmp_path: Path) -> None:
    def form(folder: Path) -> Part:
        (folder / "model.onnx").write_bytes(b"old")
        return Part(name="ONNX", files=("model.onnx",), said="made")

    assert "model.onnx" in export_run(finished, tmp_path / "out", release=Release(forms=(form,)))
    assert "model.onnx" not in export_run(finished, tmp_path / "out")
    assert not (tmp_path / "out" / "model.onnx").exists()


def test_an_export_that_was_killed_is_done_again_in_its_folder_and_nothing_half_written_stays(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".model.safetensors.0123abcd").write_bytes(b"half")
    files = export_run(finished, out)
    assert {path.name for path in out.iterdir()} == {Path(name).parts[0] for name in files}
    (out / ".somebody.elses.0123abcd").write_bytes(b"whole")
    with pytest.raises(StorageError, match="holds other files"):
        export_run(finished, out)


def test_a_folder_that_is_not_there_is_no_unfinished_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"):
        export_run(tmp_path / "nowhere", tmp_path / "out")


def test_a_run_that_has_no_model_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no model yet"):
        export_run(tmp_path, tmp_path / "out")


def test_a_run_whose_test_patients_are_still_asked_is_not_exported_by_half(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(StorageError, match="no report yet: there is nothing to export before it is over"):
        export_run(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dp", [True, False])
def test_a_study_written_from_what_was_approved_reads_back_as_the_same(dp: bool) -> None:
    for study in (parse_study(study_text("a", dp=dp)), parse_study(study_text("a", distributed=True)), rostered()):
        assert parse_study(study_toml(study)).digest() == study.digest()
    longer = parse_study(study_text("a").replace("# deadline_minutes = 240.0", "deadline_minutes = 240.0"))
    assert parse_study(study_toml(longer)).digest() == longer.digest()
