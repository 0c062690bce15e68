"""What a hospital keeps of how its answers went: every outcome is counted, and what failed is kept for its people."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardround_client.hospital.app import Reply
from wardround_client.service.attendance import Attendance, last_failure
from wardround_common.documents.proposal import Proposed
from wardround_common.errors import LabelError, PausedError, WardroundError
from wardround_common.messages.rounds import Parts


class Ward:
    """Answers, or fails as it is told."""

    error: Exception | None = None

    def answer(self, kind: str, parts: Parts) -> Reply:
        if self.error:
            raise self.error
        return Proposed("0" * 64, "waiting")


def test_each_outcome_is_counted_and_only_what_failed_is_kept(tmp_path: Path) -> None:
    ward = Ward()
    attendance = Attendance(ward, tmp_path)
    attendance.answer("train", Parts({}))
    assert last_failure(tmp_path) == ""
    two_labels, a_bug = "train: /a: patient 7 has two labels", "train: ValueError: a bug"
    errors: tuple[tuple[Exception, str], ...] = (
        (LabelError("patient 7 has two labels", where="/a"), two_labels),
        (PausedError("paused"), two_labels),  # its people want it so: it hides nothing
        (ValueError("a bug"), a_bug),
    )
    for error, kept in errors:
        ward.error = error
        with pytest.raises(type(error)):
            attendance.answer("train", Parts({}))
        assert last_failure(tmp_path).endswith(kept)
    outcomes = {("train", word): 1 for word in ("answered", "data", "paused", "crashed")}
    assert attendance.answers() == outcomes
    assert set(attendance.seconds()) == {"train"}
    assert (tmp_path / "failure.txt").stat().st_mode & 0o077 == 0


def test_a_full_disk_does_not_hide_why_an_answer_failed(tmp_path: Path) -> None:
    ward = Ward()
    ward.error = LabelError("two labels")
    place = tmp_path / "file"
    place.write_text("no folder can be made here")
    with pytest.raises(WardroundError, match="two labels"):
        Attendance(ward, place).answer("train", Parts({}))
