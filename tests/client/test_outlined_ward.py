"""A hospital that serves takes part in a study of outlines as in every other: approves what it brings, answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from outlined_hospitals import outlining, outlining_volumes, write_hospital
from wardround_client import networks
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.joining import begin
from wardround_client.service.ward import Ward
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Evaluated, EvaluateRequest, PrepareRequest, TrainRequest, Update
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed
from wardround_common.tasks.segmentation import TASK


@pytest.mark.slow
@pytest.mark.parametrize("made", [outlining, outlining_volumes], ids=["slices", "volumes"])
def test_a_hospital_that_serves_approves_trains_and_judges_outlines(
    made: Callable[[], Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one, *_ = write_hospital(tmp_path / "images", "south", patients=6)
    (tmp_path / "images" / one.name / "outline.dcm").unlink()
    folder = HospitalFolder(tmp_path / "state")
    begin(folder, "a", tmp_path / "images", None, datetime.now(UTC))
    rules = policy_text().replace("= true", "= false").replace("smallest_cohort = 20", "smallest_cohort = 2")
    (folder.path / POLICY_NAME).write_text(rules)
    listed = Listed.of("a", folder.identity().public), Listed.of("other", Identity(bytes(32)).public)
    study = made().model_copy(update={"roster": listed})
    ward = Ward(folder)
    ward.answer("propose", ProposeRequest(study).parts())
    done = CliRunner().invoke(app, ["approve", "test", "--state", str(folder.path), "--yes"], catch_exceptions=False)
    said = " ".join(done.output.split())
    assert "of 5 patients: tumour" in said
    assert "leaves out: 4 no-mask (outlined by no mask), 24 other-series (in series that the study does not" in said
    assert "Warning" not in said
    assert one.name not in said

    parameters = networks.read_vector(networks.build(study))
    ward.answer("prepare", PrepareRequest(study.digest(), False).parts())
    trained = ward.answer("train", TrainRequest(study.digest(), 1, parameters).parts())
    assert isinstance(trained, Update)
    assert np.abs(trained.vector).max() > 0
    judged = ward.answer("evaluate", EvaluateRequest(study.digest(), 1, "validation", parameters).parts())
    assert isinstance(judged, Evaluated)
    assert TASK.read(judged.sums, study.task).patients == 1  # type: ignore[arg-type]  # whole patients, in numbers that add
