"""Hospitals that are arrays or datasets: the same splits and accounts as of files, and words for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import wardround
from examples import STUDY
from wardround_client.preparation.dataset import prepare, take_in
from wardround_common.errors import DataError, PrivacyError
from wardround_common.study.file import Study
from wardround_simulation.door.arrays import read_arrays
from wardround_simulation.door.participants import Reading, sites_of

pytestmark = pytest.mark.usefixtures("undrawn")

SIZE = 16


def study(**keys: Any) -> wardround.Study:
    usual: dict[str, Any] = {
        "classes": ("none", "finding"),
        "image_size": SIZE,
        "network": "tiny-cnn",
        "rounds": 2,
        "min_hospitals": 2,
        "secure": False,
        "privacy": "none",
    }
    return wardround.Study.new("arrays", **(usual | keys))


def arrays(seed: int, patients: int = 24, each: int = 2) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Make noise with a bright spot for the finding; (images, 1, size, size), (images,), a patient each."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(patients), each)
    labels = of % 2
    images = rng.random((len(of), 1, SIZE, SIZE), np.float32) * 0.4
    images[labels == 1, :, 4:9, 4:9] += 0.5
    return images, labels, [f"patient {number}" for number in of]


class Items(torch.utils.data.Dataset[Any]):
    """A dataset of torch whose items are mappings, as MONAI's are."""

    def __init__(self, seed: int) -> None:
        self.images, self.labels, self.patients = arrays(seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> dict[str, Any]:
        image = torch.from_numpy(self.images[place])
        return {"image": image, "label": int(self.labels[place]), "patient": self.patients[place]}


def prepared(data: Any, of: wardround.Study, place: Path) -> Any:
    (site,) = sites_of({"a": data}, Reading(), place)(of)
    (source,) = site.sources
    return prepare(source, of, *take_in(source, of))


def test_patients_are_split_and_none_is_on_two_sides(tmp_path: Path) -> None:
    made = prepared(arrays(0), study(), tmp_path)
    sides = [{*part.patients.tolist()} for part in (made.train, made.validation, made.test)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 24
    assert len(made.train) == 2 * len(sides[0])
    assert made.identifiers[made.test.patients[0]].startswith("patient ")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "arrays" / "prepared").iterdir())


def test_near_copies_under_two_names_are_kept_on_one_side(tmp_path: Path) -> None:
    images, labels, patients = arrays(0)
    images[2:4] = images[0:2]  # the second patient is the first one under another name
    made = prepared((images, labels, patients), study(), tmp_path)
    assert made.intake.joined_patients == 2
    assert made.intake.duplicates_across_splits == 0


def test_a_dataset_and_the_arrays_that_it_is_made_of_are_one_hospital(tmp_path: Path) -> None:
    images, labels, patients = arrays(3)
    forms = [
        (images, labels, patients),
        {"images": images[:, 0], "labels": np.array(["none", "finding"])[labels], "patients": patients},
        {"image": torch.from_numpy(images), "target": torch.from_numpy(labels), "patient": patients},
        Items(3),
        [(image, label, patient) for image, label, patient in zip(images, labels, patients, strict=True)],
    ]
    assert len({prepared(form, study(), tmp_path).fingerprint for form in forms}) == 1


def test_masks_are_arrays_too(tmp_path: Path) -> None:
    images, labels, patients = arrays(1)
    masks = np.zeros((len(images), SIZE, SIZE), np.uint8)
    masks[labels == 1, 4:9, 4:9] = 1
    of = study(task="segmentation", classes=("spot",), image_size=SIZE, network="tiny-unet", series=())
    made = prepared((images, masks, patients), of, tmp_path)
    assert made.train.targets[:].shape[1:] == (SIZE, SIZE)
    assert made.train.targets[:].max() == 1


def changed(**parts: Any) -> dict[str, Any]:
    images, labels, patients = arrays(0)
    whole: dict[str, Any] = {"images": images, "labels": labels, "patients": patients}
    return whole | {name: change(whole[name]) for name, change in parts.items()}


def with_one(value: float) -> Any:
    def change(images: NDArray[Any]) -> NDArray[Any]:
        images = images.copy()
        images[5, 0, 0, 0] = value
        return images

    return change


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (changed(images=with_one(np.nan)), "no finite numbers, the first number 5"),
        (changed(images=with_one(-300.0)), "go from -300 to"),
        (changed(images=lambda i: (i * 255).astype(np.int64)), "images are int64"),
        (changed(images=lambda i: i[:, :, :8, :8]), "image_size = 8"),
        (changed(images=lambda i: i[:, 0, :, 0]), "the study sees"),
        (changed(images=lambda i: np.moveaxis(np.repeat(i, 1, 1), 1, 3)), "the channel comes first"),
        (changed(images=lambda i: i[:0], labels=lambda y: y[:0], patients=lambda p: p[:0]), "there are no images"),
        (changed(labels=lambda y: y[:-1]), "48 images, 47 targets and 48 patients"),
        (changed(labels=lambda y: y + 1), "targets go from 1 to 2"),
        (changed(labels=lambda y: y.astype(np.float32)), "a whole number or a word"),
        (changed(labels=lambda y: np.array(["ill", "well"])[y]), "'ill' is none of the study's classes"),
        (changed(patients=lambda p: [None, *p[1:]]), "image 0 names no patient"),
        (changed(patients=lambda p: [float("nan")] * len(p)), "patients are float64"),
        ({"images": np.zeros((2, 1, 16, 16))}, "there is no 'target'"),
        ([(np.zeros((1, 16, 16)), 0)], "is a tuple of 2"),
        ([(np.zeros((1, 16, 16)), 0, "a"), (np.zeros((1, 8, 8)), 0, "b")], "differ in their shapes"),
        (np.zeros((4, 1, 16, 16)), "a hospital cannot be an ndarray"),
        (7, "a hospital cannot be an int"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(given: Any, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        read_arrays(given, study(), "hospital a")
    assert error.value.where.startswith("hospital a")


@pytest.mark.parametrize(
    ("hospitals", "says"),
    [
        ({}, "there is no hospital"),
        ({"all": arrays(0)}, "cannot be called 'all'"),
        ({"": arrays(0)}, "cannot be called"),
    ],
)
def test_hospitals_need_names(tmp_path: Path, hospitals: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        sites_of(hospitals, Reading(), tmp_path)(study())


def test_volumes_as_arrays_are_refused_with_what_to_do() -> None:
    of = study(task="segmentation", classes=("spot",), dims=3, network="tiny-unet", image_size=None)
    with pytest.raises(DataError, match="NIfTI"):
        read_arrays(arrays(0), of, "hospital a")


def test_a_time_and_an_event_are_no_target_of_arrays() -> None:
    of = Study.model_validate(STUDY | {"task": {"name": "risk", "times": [1, 2], "unit": "years"}})
    with pytest.raises(DataError, match="needs a time and an event"):
        read_arrays(arrays(0), of, "hospital a")


def test_a_pool_of_arrays_is_cut_by_patient(tmp_path: Path) -> None:
    pool = wardround.pool(arrays(0, patients=40), split=3, partition="dirichlet:1.0")
    sites = sites_of(pool, Reading(), tmp_path)(study())
    parts = [site.sources[0].patients or frozenset() for site in sites]
    assert sum(map(len, parts)) == len(frozenset.union(*parts)) == 40
    with pytest.raises(DataError, match="no DICOM attributes"):
        sites_of(wardround.pool(arrays(0), partition="by:Manufacturer"), Reading(), tmp_path)(study())


@pytest.mark.slow
def test_an_interrupted_run_on_arrays_is_resumed_by_two_workers_to_the_same_model(tmp_path: Path) -> None:
    hospitals = {name: arrays(seed) for seed, name in enumerate("ab")}
    usual: dict[str, Any] = {"baselines": False, "progress": False}
    whole = wardround.simulate(study(rounds=3), hospitals, out=tmp_path / "one", workers=1, **usual)

    class Stop(Exception):  # noqa: N818  # what a person does
        pass

    def interrupt(progress: Any) -> None:
        if progress.phase == "training" and progress.done == 2:
            raise Stop

    with pytest.raises(Stop):
        wardround.simulate(study(rounds=3), hospitals, out=tmp_path / "two", workers=1, progress=interrupt)
    again = wardround.simulate(study(rounds=3), hospitals, out=tmp_path / "two", workers=2, resume=True, **usual)
    assert again.model.read_bytes() == whole.model.read_bytes()


@pytest.mark.slow
def test_a_private_run_on_arrays_is_charged_by_patient(tmp_path: Path) -> None:
    of = study(privacy="dp-sgd", epsilon=4.0, delta=1e-3, batch_size=8, rounds=1)
    hospitals = {name: arrays(seed) for seed, name in enumerate("ab")}
    results = wardround.simulate(of, hospitals, out=tmp_path / "run", workers=1, baselines=False, progress=False)
    assert results.epsilon == pytest.approx(4.0, abs=0.2)
    assert results.hospitals[0].train is not None
    assert results.hospitals[0].train.patients * 2 == results.hospitals[0].train.images
    with pytest.raises(PrivacyError, match="does not protect anybody"):
        wardround.simulate(of.but(delta=0.5), hospitals, out=tmp_path / "no", workers=1, progress=False)
