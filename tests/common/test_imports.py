"""Imports without collections of garbage in between, and what later ones leave out."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from wardround_common.shell.imports import Process, at_once


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    yield
    gc.enable()
    gc.unfreeze()
    if frozen:
        gc.freeze()


@pytest.mark.parametrize("ours", [True, False])
def test_nothing_is_collected_meanwhile_and_only_a_process_of_ours_leaves_it_out_of_later_collections(
    ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Process, "ours", ours)
    ran: list[int] = []
    gc.callbacks.append(lambda phase, told: ran.append(told["generation"]))
    try:
        with at_once():
            kept = [[n] for n in range(50_000)]  # as many objects as call for a hundred collections
            during = len(ran)
    finally:
        gc.callbacks.pop()
    assert during == 0
    assert gc.isenabled()
    assert (gc.get_freeze_count() > len(kept)) == ours


def test_collections_that_were_off_stay_off_and_an_import_that_fails_turns_them_on_again() -> None:
    with pytest.raises(ImportError), at_once():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    with at_once():
        pass
    assert not gc.isenabled()


def test_what_anothers_programme_left_out_of_collections_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "ours", False)
    gc.freeze()
    frozen = gc.get_freeze_count()
    with at_once():
        pass
    assert gc.get_freeze_count() == pytest.approx(frozen, rel=0.01)
