"""A checkpoint is whole or not there, and never of another study."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from examples import study
from wardround_common import storage
from wardround_common.errors import StorageError
from wardround_common.messages.parameters import Layout
from wardround_common.metrics import ScoreSums
from wardround_common.results import Headline, RoundRecord
from wardround_common.strategies.contract import Moments
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import State
from wardround_server.service.resuming import resuming

STUDY = study()
RECORD = RoundRecord(
    number=1,
    seconds=1.0,
    bytes_to_hospitals=1,
    bytes_from_hospitals=2,
    training_loss=None,
    validation_loss=0.5,
    headline=Headline(metric="auroc", value=None),
    answered=("a",),
)


def state(moments: bool = True) -> State:
    layout = Layout(("w", "b"), ((2, 3), (2,)))
    kept = Moments(np.arange(8.0), np.ones(8)) if moments else None
    return State(layout, np.arange(8, dtype=np.float32), kept, (RECORD,))


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_what_the_validation_patients_said_comes_back(tmp_path: Path, classes: int) -> None:
    probabilities = np.full((classes, classes), 1 / classes, np.float32)
    sums = ScoreSums.of(np.arange(classes), probabilities, np.ones(classes))
    of = study(task={"classes": [f"class {number}" for number in range(classes)]})
    write_checkpoint(tmp_path / "c", of, replace(state(), validation=sums))
    found = read_checkpoint(tmp_path / "c", of).validation
    assert isinstance(found, ScoreSums)
    assert found.to_vector().tolist() == sums.to_vector().tolist()
    assert found.classes == classes


@pytest.mark.parametrize("moments", [True, False])
def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, moments: bool) -> None:
    before = state(moments)
    write_checkpoint(tmp_path / "c", STUDY, before)
    after = read_checkpoint(tmp_path / "c", STUDY)
    assert after.parameters.tobytes() == before.parameters.tobytes()
    assert (after.layout, after.history) == (before.layout, before.history)
    assert (after.moments is None) == (not moments)
    if after.moments and before.moments:
        assert after.moments.first.tobytes() == before.moments.first.tobytes()


@given(st.data())
def test_a_flipped_or_missing_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("c") / "c"
    write_checkpoint(path, STUDY, state())
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged") as refused:
        read_checkpoint(path, STUDY)
    assert refused.value.do.startswith("Restore it from your backup.")  # to begin again costs its privacy again


def test_a_whole_checkpoint_with_other_numbers_is_another_versions_and_not_damaged(tmp_path: Path) -> None:
    content = save({"parameters": np.zeros(8, np.float32)}, metadata={"format": "another", "study": STUDY.digest()})
    (tmp_path / "c").write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(StorageError, match="written by another version") as refused:
        read_checkpoint(tmp_path / "c", STUDY)
    assert "Delete" not in str(refused.value)
    assert resuming(refused.value, "COMMAND") == ""  # the same command would meet the same checkpoint


def test_a_checkpoint_of_another_study_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", STUDY, state())
    with pytest.raises(StorageError, match="another study or seed"):
        read_checkpoint(tmp_path / "c", study(model={"seed": 1}))


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_checkpoint(tmp_path / "c", STUDY, state())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_checkpoint(tmp_path / "c", STUDY, state(moments=False))
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "c", STUDY).moments is not None
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
