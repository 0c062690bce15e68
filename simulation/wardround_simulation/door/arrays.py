"""Arrays and datasets as hospitals: read, checked against the study, and refused with the reason if they do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.tasks.registry import local_task
from wardround_common.counting import count
from wardround_common.errors import DataError
from wardround_common.kinds import kind_of
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of

IMAGE, TARGET, PATIENT = ("image", "images"), ("target", "targets", "label", "labels", "mask"), ("patient", "patients")
"""Under which names an item of a dataset, or a mapping of arrays, has each."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images of a hospital with what is to be told of them and their patients, as a study's network sees them."""

    images: NDArray[np.float32] = field(repr=False)
    """(images, channels, height, width)."""
    targets: NDArray[Any] = field(repr=False)
    """(images,) int64 class numbers, or (images, height, width) uint8 masks."""
    patients: tuple[str, ...] = field(repr=False)


def read_arrays(given: Any, study: Study, where: str) -> Arrays:
    """Read what was given as a hospital: three arrays, a mapping of them, or a dataset of items with a patient each.

    Raises:
        DataError: its form, or a shape, a type, a length or a value does not fit the study; ``where`` names it.
    """
    if task_of(study.task).dims(study.task) != 2:
        raise DataError(
            "arrays are images or slices, and the study is of volumes ([task] dims = 3)",
            where=where,
            do="Write each volume as a NIfTI file in a folder for each patient, or study slices (dims = 2).",
        )
    if study.data.steps:
        raise DataError(
            "arrays are what the network sees, and the study has steps that prepare stored images ([data] steps)",
            where=where,
            do="Leave the steps out of the study and prepare the arrays, or write the images as files.",
        )
    if task_of(study.task).horizons(study.task):
        raise DataError(
            "arrays have a class or a mask for each image, and the study's task needs a time and an event",
            where=where,
            do="Write the images as files, with a table of labels that has the columns time and event.",
        )
    if study.data.bagged:
        raise DataError(
            f"arrays are single images, and the study's records are several ([data] record = '{study.data.record}')",
            where=where,
            do="Write the images as files, with a table of labels by patient.",
        )
    if task_of(study.task).apart or task_of(study.task).numeric or task_of(study.task).generates:
        raise DataError(
            f"arrays have a class or a mask for each image, and the study's task is '{study.task.name}'",
            where=where,
            do="Write the images as files, with a table of labels that has the columns that the task reads.",
        )
    images, targets, patients = _parts(given, where)
    if not len(images) == len(targets) == len(patients):
        raise DataError(
            f"there are {count(len(images), 'image')}, {count(len(targets), 'target')} and "
            f"{count(len(patients), 'patient')}",
            where=where,
            do="Give one target and one patient for each image.",
        )
    if not len(images):
        raise DataError("there are no images", where=where)
    return Arrays(_images(images, study, where), _targets(targets, study, where), _patients(patients, where))


def _parts(given: Any, where: str) -> tuple[Any, Any, Any]:
    if isinstance(given, Mapping):
        return (_of(given, IMAGE, where), _of(given, TARGET, where), _of(given, PATIENT, where))
    if isinstance(given, tuple | list) and len(given) == 3 and not isinstance(given[0], Mapping | tuple):
        return given[0], given[1], given[2]
    if hasattr(given, "__getitem__") and hasattr(given, "__len__") and not hasattr(given, "shape"):
        return _of_items([given[place] for place in range(len(given))], where)
    if isinstance(given, Iterable) and not isinstance(given, str | bytes) and not hasattr(given, "shape"):
        return _of_items(list(given), where)
    raise DataError(
        f"a hospital cannot be {kind_of(given)}",
        where=where,
        do="Give (images, targets, patients), a mapping with these, or a dataset of items with image, target, patient.",
    )


def _of_items(items: Sequence[Any], where: str) -> tuple[Any, Any, Any]:
    """Return the parts of a dataset's items: tuples of three, or mappings."""
    rows = []
    for number, item in enumerate(items):
        place = f"{where}, item {number}"
        if isinstance(item, Mapping):
            rows.append((_of(item, IMAGE, place), _of(item, TARGET, place), _of(item, PATIENT, place)))
        elif isinstance(item, tuple | list) and len(item) == 3:
            rows.append((item[0], item[1], item[2]))
        else:
            several = f" of {len(item)}" if isinstance(item, tuple | list) else ""
            raise DataError(
                f"an item is {kind_of(item)}{several}, and not (image, target, patient)",
                where=place,
                do="Let each item name its patient: patients are split and protected, never images.",
            )
    shapes = sorted({np.shape(_plain(row[0])) for row in rows})
    if len(shapes) > 1:
        raise DataError(
            f"images differ in their shapes: {', '.join(map(str, shapes[:3]))}", where=where, do="Resize them alike."
        )
    return [_plain(row[0]) for row in rows], [_plain(row[1]) for row in rows], [row[2] for row in rows]


def _of(item: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    for name in names:
        if name in item:
            return item[name]
    found = ", ".join(map(str, item)) or "nothing"
    raise DataError(f"there is no {names[0]!r}, but {found}", where=where, do=f"Name it {' or '.join(names)}.")


def _plain(value: Any) -> Any:
    """Return a tensor of torch or MONAI as an array, and anything else as it is."""
    detach = getattr(value, "detach", None)
    return np.asarray(detach().cpu()) if callable(detach) else value


def _array(value: Any, what: str, where: str) -> NDArray[Any]:
    try:
        return np.asarray(_plain(value))
    except ValueError:
        raise DataError(f"{what} differ in their shapes", where=where, do="Resize them alike.") from None


def _images(given: Any, study: Study, where: str) -> NDArray[np.float32]:
    images, size, channels = _array(given, "images", where), study.data.square, study.data.inputs
    wanted = f"(images, {channels}, {size}, {size})"
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255)
    if images.dtype.kind != "f":
        raise DataError(
            f"images are {images.dtype}, and the network sees numbers from 0 to 1",
            where=where,
            do="Give float32 from 0 to 1, or uint8 from 0 to 255.",
        )
    if images.ndim == 3 and channels == 1:
        images = images[:, None]
    if images.ndim == 4 and images.shape[1:] != (channels, size, size) and images.shape[1:] == (size, size, channels):
        raise DataError(f"images are {images.shape}, and the channel comes first: {wanted}", where=where)
    if images.ndim != 4 or images.shape[1:] != (channels, size, size):
        square = images.ndim == 4 and images.shape[2] == images.shape[3] and images.shape[1] == channels
        raise DataError(
            f"images are {images.shape}, and the study sees {wanted}",
            where=where,
            do=f"Write image_size = {images.shape[2]} in the study, or resize them." if square else "Reshape them.",
        )
    if bad := np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3))).tolist():
        raise DataError(
            f"{len(bad):,} of {len(images):,} images have values that are no finite numbers, the first number {bad[0]}",
            where=where,
            do="Replace them, such as with numpy.nan_to_num, or leave these images out.",
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise DataError(
            f"images go from {low:.4g} to {high:.4g}, and the network sees 0 to 1",
            where=where,
            do="Scale them, each by itself or all alike, so that 0 is the darkest and 1 the brightest.",
        )
    return np.ascontiguousarray(images, np.float32)


def _targets(given: Any, study: Study, where: str) -> NDArray[Any]:
    if local_task(study.task).moved is not None:
        raise DataError(
            f"images of the task '{study.task.name}' cannot be given as arrays yet",
            where=where,
            do="Name folders of images with their boxes (docs/detection.md).",
        )
    targets, words = _array(given, "targets", where), study.groups
    if task_of(study.task).dense:
        return _masks(targets, study, where)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim != 1:
        raise DataError(f"targets are {targets.shape}, and a class is one number for each image", where=where)
    if targets.dtype.kind in "UO":
        known = {word: number for number, word in enumerate(words)}
        if others := sorted({str(one) for one in targets.tolist()} - set(known)):
            raise DataError(
                f"{others[0]!r} is none of the study's classes, {', '.join(words)}",
                where=where,
                do="Name the classes as [task] classes does.",
            )
        return np.array([known[str(one)] for one in targets.tolist()], np.int64)
    if targets.dtype.kind not in "iub":
        raise DataError(
            f"targets are {targets.dtype}, and a class is a whole number or a word", where=where, do="Round them."
        )
    return _within(
        targets.astype(np.int64), len(words), f"a class is 0 to {len(words) - 1} ({', '.join(words)})", where
    )


def _masks(targets: NDArray[Any], study: Study, where: str) -> NDArray[np.uint8]:
    size, most = study.data.square, len(study.groups)
    if targets.ndim == 4 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim != 3 or targets.shape[1:] != (size, size):
        raise DataError(
            f"masks are {targets.shape}, and the study's are (images, {size}, {size})", where=where, do="Reshape them."
        )
    if targets.dtype.kind == "f" and np.array_equal(targets, np.round(targets)):
        targets = targets.astype(np.int64)
    if targets.dtype.kind not in "iub":
        raise DataError(f"masks are {targets.dtype}, and a voxel is of a structure or of none", where=where)
    within = _within(
        targets.astype(np.int64), most + 1, f"a voxel is 0, or 1 to {most} ({', '.join(study.groups)})", where
    )
    return within.astype(np.uint8)


def _within(values: NDArray[np.int64], count: int, means: str, where: str) -> NDArray[np.int64]:
    if values.min() < 0 or values.max() >= count:
        raise DataError(f"targets go from {values.min()} to {values.max()}, and {means}", where=where)
    return values


def _patients(given: Any, where: str) -> tuple[str, ...]:
    patients = _array(given, "patients", where)
    if patients.ndim != 1 or patients.dtype.kind not in "iuUO":
        raise DataError(
            f"patients are {patients.dtype} of the shape {patients.shape}, and each image has one name or number",
            where=where,
            do="Give a sequence of words or whole numbers; range(len(images)) if each image is of another patient.",
        )
    names = tuple(str(one).strip() for one in patients.tolist())
    for number, (name, one) in enumerate(zip(names, patients.tolist(), strict=True)):
        if one is None or not name or not re.fullmatch(r"[^\x00-\x1f\x7f]{1,200}", name) or one != one:
            raise DataError(f"image {number} names no patient", where=where, do="Give a word or a whole number.")
    return names
