"""Who stops a command that writes at its end reads that nothing was written, and it is so."""

from __future__ import annotations

from pathlib import Path

import pytest

import in_process

COMMANDS = {
    "wardround_client.commands.weights_screen.learn": ["weights", "learn", "tiny-cnn", "--out", "learnt"],
    "wardround_client.commands.change_screen.examine": ["change", "MODEL", "one", "two"],
    "wardround_simulation.evidence.make.make_evidence": ["evidence", "RUN"],
}


@pytest.mark.parametrize("works", COMMANDS)
def test_a_person_who_stops_a_command_reads_that_nothing_was_written(
    works: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(works, stopped)
    monkeypatch.setattr("wardround_simulation.evidence.finished_run.read_run", lambda run: run)
    monkeypatch.setattr("wardround_client.commands.change_screen.open_model", lambda folder, device: Opened)
    monkeypatch.setattr("wardround_client.commands.change_screen.asking_of", lambda model: Opened)
    monkeypatch.setattr("wardround_client.commands.change_screen.check_apart", lambda *_: None)
    monkeypatch.setattr("wardround_client.commands.change_screen.files_of", lambda *_, **__: [])
    monkeypatch.setattr("wardround_client.commands.change_screen.in_order", lambda *_: None)
    done = in_process.run(*COMMANDS[works])
    assert (done.returncode, list(tmp_path.iterdir())) == (130, []), done.stderr
    assert "Stopped. Nothing was written. Run the same command again." in done.stderr


class Opened:
    """A model that outlines, and was asked about nothing."""

    study = None

    @staticmethod
    def cases(*_: object) -> list[object]:
        return []
