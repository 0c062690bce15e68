"""The shell completes commands, and the names of studies, hospitals and runs that lie here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from at_work import set_up
from examples import study
from wardround_client.state.approvals import Approvals
from wardround_common.shell.cli import wardround
from wardround_server.service.enrolment_desk import begin
from wardround_server.state.coordinator_folder import CoordinatorFolder


def offered(*words: str) -> list[str]:
    completing = BashComplete(wardround, {}, "wardround", "_WARDROUND_COMPLETE")
    return [one.value for one in completing.get_completions(list(words[:-1]), words[-1])]


def test_commands_and_names_of_studies_and_runs_are_completed(tmp_path: Path) -> None:
    state, coordinator = tmp_path / "state", tmp_path / "C"
    Approvals(set_up(state).path / "studies").propose(study(study={"name": "lungs"}))
    begin(CoordinatorFolder(coordinator), ["127.0.0.1"], 9093, datetime.now(UTC))
    (coordinator / "runs" / "heart").mkdir(parents=True)
    assert "approve" in offered("hospital", "appr")
    assert offered("hospital", "approve", "--state", str(state), "lu") == ["lungs"]
    assert offered("hospital", "refuse", "--state", str(state), "") == ["lungs"]
    assert offered("coordinator", "stop", str(coordinator), "") == ["heart"]
    assert offered("coordinator", "roster", str(coordinator), "") == []


def test_a_name_that_a_shell_would_read_as_a_command_is_not_offered(tmp_path: Path) -> None:
    for name in ("heart", "$(touch x)", "\\$(touch x)", "`x`", "a;b", "a'b", 'a"b', "-f", "a|b", "a\nb"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert offered("coordinator", "stop", str(tmp_path), "") == ["heart"]


@pytest.mark.parametrize("words", [("hospital", "approve", "--state", "nowhere"), ("coordinator", "stop", "nowhere")])
def test_where_nothing_lies_nothing_is_offered_and_nothing_fails(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered(*words, "") == []
