"""What a process found of near-copies serves the next one: the same pairs, and only new images are compared."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from wardround_client.intake import kept_pairs
from wardround_client.intake.duplicates import CELLS, near_pairs
from wardround_client.intake.instance import Instance
from wardround_client.intake.kept_pairs import FILE, near_pairs_kept

COUNT = 120


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_pairs, "KEPT_FROM", 2)


@pytest.fixture
def images() -> list[Instance]:
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(COUNT, CELLS)) * 40
    for place in range(1, COUNT, 5):
        cells[place] = cells[rng.integers(place)] + rng.normal(size=CELLS)
    made = [base64.b64encode(one.clip(-127, 127).astype(np.int8).tobytes()).decode() for one in cells]
    made[4] = ""
    return [image(f"{n}.dcm", hashed, series=str(n % 90)) for n, hashed in enumerate(made)]


def image(file: str, hashed: str, *, series: str) -> Instance:
    return Instance(file, "p", "", series, "", "MR", "", "", "", "", "8/8", 1, 1, 1, None, 1, file, hashed)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Note of each comparison how many images it was of, and from which on they were new."""
    made: list[tuple[int, int]] = []

    def noting(instances: list[Instance], groups: range, first_new: int = 0) -> list[tuple[int, int]]:
        made.append((len(instances), first_new))
        return near_pairs(instances, groups, first_new)

    monkeypatch.setattr(kept_pairs, "near_pairs", noting)
    return made


def slowly(images: list[Instance]) -> list[tuple[int, int]]:
    pairs = near_pairs(images, range(len(images)))
    assert pairs
    return pairs


def test_a_later_process_finds_the_same_pairs_and_compares_new_images_only(
    tmp_path: Path, images: list[Instance], compared: list[tuple[int, int]]
) -> None:
    assert near_pairs_kept(images[20:], tmp_path) == slowly(images[20:])
    assert near_pairs_kept(images[20:], tmp_path) == slowly(images[20:])
    assert near_pairs_kept(images, tmp_path) == slowly(images)  # the new ones come first in its order
    assert near_pairs_kept(images[::-1], tmp_path) == slowly(images[::-1])
    assert near_pairs_kept(images[:70], tmp_path) == slowly(images[:70])  # as of a study that takes fewer
    assert compared == [(100, 0), (120, 100)]


def test_an_image_that_changed_or_came_into_another_series_is_compared_anew(
    tmp_path: Path, images: list[Instance], compared: list[tuple[int, int]]
) -> None:
    one, other = near_pairs_kept(images, tmp_path)[0]
    moved = [*images]
    moved[one] = image(images[one].file, images[one].likeness, series=images[other].series_uid)
    assert (one, other) not in near_pairs_kept(moved, tmp_path)
    assert near_pairs_kept(moved, tmp_path) == slowly(moved)
    changed = [*images]
    changed[one] = image(images[one].file, images[4 - one % 2 + 2].likeness, series=images[one].series_uid)
    assert near_pairs_kept(changed, tmp_path) == slowly(changed)
    assert compared == [(COUNT, 0), (COUNT, COUNT - 1), (COUNT, COUNT - 1)]


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "open to others", "another form"])
def test_a_file_that_cannot_be_relied_on_is_not_used_and_is_written_anew(
    tmp_path: Path, images: list[Instance], compared: list[tuple[int, int]], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    near_pairs_kept(images, tmp_path)
    file = tmp_path / FILE
    assert file.stat().st_mode & 0o077 == 0
    content = file.read_bytes()
    if how == "open to others":
        file.chmod(0o644)
    elif how == "another form":
        monkeypatch.setattr(kept_pairs, "_FORM", b"near-copies 2")
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        file.write_bytes({"cut": content[:-8], "flipped": flipped, "empty": b""}[how])
    assert near_pairs_kept(images, tmp_path) == slowly(images)
    assert near_pairs_kept(images, tmp_path) == slowly(images)
    assert compared == [(COUNT, 0), (COUNT, 0)]
    assert file.stat().st_mode & 0o077 == 0


def test_the_file_holds_no_likeness_and_no_name(tmp_path: Path, images: list[Instance]) -> None:
    near_pairs_kept(images, tmp_path)
    content = (tmp_path / FILE).read_bytes()
    assert len(content) < 300 + 16 * len(images) + 8 * len(slowly(images))
    for one in images:
        assert one.file.encode() not in content
        assert not one.likeness or base64.b64decode(one.likeness)[:16] not in content


def test_too_many_pairs_and_a_folder_that_cannot_be_written_keep_nothing(
    tmp_path: Path, images: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_bytes(b"")
    assert near_pairs_kept(images, blocked) == slowly(images)
    monkeypatch.setattr(kept_pairs, "MOST_PAIRS", 3)
    assert near_pairs_kept(images, tmp_path) == slowly(images)
    assert not (tmp_path / FILE).exists()


def test_two_images_under_one_name_are_compared_each_time(tmp_path: Path, images: list[Instance]) -> None:
    twice = [*images, images[1]]
    assert near_pairs_kept(twice, tmp_path) == slowly(twice)
    assert [*tmp_path.iterdir()] == []
