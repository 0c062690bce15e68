"""A folder split into hospitals: by patient, nobody twice, nobody lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_run import copied, phantom_study

from wardround_common.errors import DataError
from wardround_simulation.partition import cut
from wardround_simulation.phantoms import SCANNERS, make_hospital
from wardround_simulation.places import Places

HEAD = "file,patient,label,time,event,mass,calcification,gland"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    for scanner in SCANNERS[:2]:
        make_hospital(folder / scanner.name, scanner, seed=1, patients=24, images_per_patient=2)
    lines = [line for part in folder.iterdir() for line in relative_lines(part)]
    (folder / "labels.csv").write_text("\n".join([HEAD, *sorted(lines)]) + "\n")
    for part in SCANNERS[:2]:
        (folder / part.name / "labels.csv").unlink()
    return folder


def relative_lines(part: Path) -> list[str]:
    return [f"{part.name}/{line}" for line in (part / "labels.csv").read_text().splitlines()[1:]]


def groups(pool: Path, state: Path, how: str, count: int | None, seed: int = 0) -> list[frozenset[str]]:
    source = Places(None, None, frozenset(), state).source(pool)
    sites = cut(source, phantom_study(model={"seed": seed}), how, count)
    return [site.sources[0].patients or frozenset() for site in sites]


@pytest.mark.parametrize(("how", "count"), [("iid", 4), ("dirichlet:1.0", 3), ("by:ManufacturerModelName", None)])
def test_every_patient_is_in_exactly_one_hospital(pool: Path, tmp_path: Path, how: str, count: int | None) -> None:
    cuts = groups(pool, tmp_path, how, count)
    assert len(cuts) == (count or 2)
    assert sum(map(len, cuts)) == len(frozenset().union(*cuts)) == 48


def test_the_seed_decides_the_cut(pool: Path, tmp_path: Path) -> None:
    assert groups(pool, tmp_path, "iid", 4) == groups(pool, tmp_path, "iid", 4)
    assert groups(pool, tmp_path, "iid", 4) != groups(pool, tmp_path, "iid", 4, seed=1)


def test_iid_hospitals_differ_by_one_patient_at_most(pool: Path, tmp_path: Path) -> None:
    sizes = sorted(map(len, groups(pool, tmp_path, "iid", 5)))
    assert sizes == [9, 9, 10, 10, 10]


def test_by_attribute_keeps_scanners_apart(pool: Path, tmp_path: Path) -> None:
    for group in groups(pool, tmp_path, "by:ManufacturerModelName", None):
        assert len({patient[0] for patient in group}) == 1


def test_patients_without_an_image_that_states_attributes_are_counted_and_in_no_hospital(
    pool: Path, tmp_path: Path
) -> None:
    mixed = Path(shutil.copytree(pool, tmp_path / "mixed"))
    rows = (mixed / "labels.csv").read_text().splitlines()
    label = rows[1].split(",", 2)[2]
    for number in range(2):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (64, 64), np.uint8)).save(
            mixed / f"{number}.png"
        )
        rows.append(f"{number}.png,plain-{number},{label}")
    (mixed / "labels.csv").write_text("\n".join(rows) + "\n")
    of = phantom_study().but({"data.modalities": ["CR", "MG", "OTHER"]})
    source = Places(None, None, frozenset(), tmp_path / "state").source(mixed)
    sites = cut(source, of, "by:ManufacturerModelName", None)
    assert sum(len(site.sources[0].patients or ()) for site in sites) == 48
    assert {site.said_of_cut for site in sites} == {
        "2 patients of the pool are in no hospital: none of their images is DICOM, so that no file states "
        "ManufacturerModelName of them."
    }
    assert {site.said_of_cut for site in cut(source, of, "iid", 3)} == {""}


@pytest.mark.parametrize(
    ("how", "count", "says"),
    [
        ("random", 3, "no partition 'random'"),
        ("dirichlet:0", 3, "no partition 'dirichlet:0'"),
        ("dirichlet", 3, "no partition 'dirichlet'"),
        ("by:NoSuchWord", None, "no attribute 'NoSuchWord'"),
        ("iid", None, "needs a number of hospitals"),
        ("iid", 40, "40 hospitals of 3 patients or more cannot be made of"),
        ("by:Modality:x", None, "no attribute"),
        ("by:Modality", None, "the images have one value of Modality"),
    ],
)
def test_a_cut_that_cannot_be_made_says_why(pool: Path, tmp_path: Path, how: str, count: int | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        groups(pool, tmp_path, how, count)


def test_patients_who_share_near_copies_come_into_one_hospital(pool: Path, tmp_path: Path) -> None:
    mine = tmp_path / "pool"
    shutil.copytree(pool, mine)
    lines = mine.joinpath("labels.csv").read_text().splitlines()
    of_patient = {line.split(",")[1]: line for line in lines[1:]}
    names = sorted(of_patient)
    pairs = list(zip(names[:12:2], names[47:41:-1], strict=True))
    for number, (one, other) in enumerate(pairs):  # the other patient's only image is a copy of the one's
        file, _, *label = of_patient[one].split(",")
        copied(mine / file, other, mine / f"copy{number}.dcm")
        lines.append(",".join([f"copy{number}.dcm", other, *label]))
    (mine / "labels.csv").write_text("\n".join(lines) + "\n")
    for how in ("iid", "dirichlet:1.0"):
        cuts = groups(mine, tmp_path / how, how, 4)
        assert sum(map(len, cuts)) == len(frozenset().union(*cuts)) == 48
        assert all(any({one, other} <= group for group in cuts) for one, other in pairs)
    alone = groups(pool, tmp_path / "alone", "iid", 4)
    assert any(len({one, other} & group) == 1 for group in alone for one, other in pairs)
