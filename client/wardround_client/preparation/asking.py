"""What a saved model is asked about: images and examinations, brought into the form that its study trained it with.

Nothing is labelled or outlined here, and a patient's name in a file is no reason to refuse it: what is predicted stays
at the hospital. What a study does not take is refused with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import dcmread

from wardround_client.images import Image, read_with_header
from wardround_client.images.attributes import tag, text
from wardround_client.images.body_part import UNKNOWN, body_parts_of, is_other, other_body_part
from wardround_client.images.dicom import refusing
from wardround_client.images.formats.registry import format_of
from wardround_client.images.kinds import KINDS, kinds_of
from wardround_client.images.plugin_formats import Guarded
from wardround_client.images.sop_class import other_object
from wardround_client.images.source import read_bytes
from wardround_client.images.units import in_hounsfield
from wardround_client.intake.columns import Columns, read_columns
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import ROLES_FILE, names_of, relative
from wardround_client.preparation import preprocessing
from wardround_client.preparation.bags import PADDING, laid_out, name_of, neighbours_of, with_page
from wardround_client.preparation.order import DO_ASKED, DO_SERIES, MEANINGS, Said, in_order, said_in
from wardround_client.preparation.outlined import ANY
from wardround_client.preparation.scaled import body_of, channels_of, series_area
from wardround_client.preparation.sequences import said_of, sequence_of
from wardround_client.preparation.slices import forms
from wardround_client.preparation.source import Source
from wardround_client.preparation.stepped import asks_hounsfield, not_hounsfield
from wardround_client.preparation.variables import WHAT, read_all, tables_of, there_of
from wardround_client.preparation.volume_form import VolumeForm
from wardround_client.tasks.contract import Asked, Case
from wardround_client.tasks.outline_form import from_form, map_from_form
from wardround_client.volumes import Refused, Roles, Series, choose, examinations, roles_in, survey
from wardround_common.errors import ImageRefused
from wardround_common.one_form import one_form
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.steps import Area, cuts

SLICES_BACK = 16
"""Slices whose logits are brought to the size of the image at a time."""
_LEVELS = 250
"""Steps from 0 to 1 in which a map of a volume is laid on its series."""
_ABOUT = {
    "patient": tag("PatientID"),
    "study_uid": tag("StudyInstanceUID"),
    "series_uid": tag("SeriesInstanceUID"),
    "sop_uid": tag("SOPInstanceUID"),
}
_HEAD = 1 << 16
"""Bytes by which a file's format is told."""
_OF_AN_IMAGE = {"series": {"sop_uid"}, "patient": {"sop_uid", "series_uid", "study_uid", "crop"}}
"""What is not the same for all images of a record."""
_MODALITY = tag("Modality")
Prepare = Callable[[Sequence[Series], Data], Asked]


def image_cases(files: Sequence[Path], study: Study, allow: frozenset[str]) -> Iterator[Case]:
    """Take each file for an image of its own; it is read when it is prepared."""
    for path in files:
        yield Case(str(path), (path,), lambda path=path: _image(path, study.data, allow))  # type: ignore[misc]  # of now


def _image(path: Path, data: Data, allow: frozenset[str]) -> Asked:
    return _opened(path, data, allow).asked(data)


@dataclass(frozen=True, eq=False)
class _Opened:
    """An image that a study takes, and what its file says."""

    image: Image = field(repr=False)
    about: dict[str, Any] = field(repr=False)
    stated: dict[str, str] = field(repr=False)
    """What it states of the study's variables, by attribute."""
    sequence: int
    said: Said
    """Its place."""

    def asked(self, data: Data, area: Area | None = None) -> Asked:
        """Bring it into the study's form; ``area``: the part of it that is left, where that was found already."""
        form, area = preprocessing.located(self.image, data, area)
        return Asked(form[None], self.about | _crop(area, data), area=area, hanging=self.image.hanging)


def _areas(opened: Iterable[tuple[Path, _Opened]], data: Data) -> dict[Path, Area]:
    """Return which part is left of images, where all of a series are cut alike; else nothing, and none is opened."""
    if not (cuts(data.steps) and data.cut_alike):
        return {}
    named = (
        (path, (one.about.get("patient", ""), one.about.get("series_uid") or path.parent), one.image)
        for path, one in opened
    )
    return preprocessing.cut_alike(named, data)


def _readable(paths: Iterable[Path], read: Callable[[Path], _Opened]) -> Iterator[tuple[Path, _Opened]]:
    for path in paths:
        with suppress(ImageRefused):  # it says why when it is prepared
            yield path, read(path)


def _opened(
    path: Path, data: Data, allow: frozenset[str], roles: Roles | None = None, *, trained: bool = False
) -> _Opened:
    """Read an image that the study takes.

    ``trained``: its series is told apart as in training, where what a hospital allows is no reason to take one.

    Raises:
        ImageRefused: it cannot be read, or the study does not take it.
    """
    image, header = read_with_header(path, voi=data.intensity == "window")
    about: dict[str, Any] = {"patient": image.patient} if image.patient else {}
    modality, parts = image.modality, tuple[str, ...]()
    stated: dict[str, str] = {}
    if header is not None:
        with refusing("unreadable", "the attributes cannot be read", where=str(path)):
            if other := other_object(header):
                raise ImageRefused(*other, where=str(path))
            for word, why in kinds_of(header).items():
                if word not in allow:
                    raise ImageRefused(KINDS[word], why, where=str(path), do=f"Predict it anyway with --allow {word}.")
            modality, parts = text(header, _MODALITY), body_parts_of(header)
            about = {name: text(header, which) for name, which in _ABOUT.items()}
            wanted = [one.attribute for one in data.variables if one.attribute]
            stated = {name: text(header, tag(name)) for name in wanted}
    if modality not in data.modalities:
        raise _other_modality([modality], data)
    if is_other(parts, data.body_parts):
        raise other_body_part(parts, data.body_parts)
    if asks_hounsfield(data.steps) and (header is None or not in_hounsfield(header)):
        raise not_hounsfield()
    about |= _part(parts, data)
    sequence: int | str = 0
    if data.sequences:
        said = said_of(header, path, about.get("series_uid", ""))
        apart = data.sequences if trained else tuple(replaced(one, allow) for one in data.sequences)
        sequence = sequence_of(said, apart, roles)
    if isinstance(sequence, str):
        raise ImageRefused(
            sequence,
            "its series fits none, or several, of those that the model is told apart",
            where=str(path),
            do=f"If it is one of {', '.join(one.role for one in data.sequences)}, say so in {ROLES_FILE} "
            "(docs/volumes.md).",
        )
    return _Opened(image, about, stated, sequence, said_in(header, path))


def cases_of(
    files: Sequence[Path],
    study: Study,
    allow: frozenset[str],
    clinical: Path | None = None,
    *,
    source: Source | None = None,
    index: Index | None = None,
) -> Iterator[Case]:
    """Take each file for an image or a slice, or all files of a patient or a series for one record of the study.

    ``clinical``: the table of the study's variables; without one they are what the files state. ``source`` and
    ``index``: the hospital whose files these are, and its scan: its tables are read, and records told apart, as in
    training.

    Raises:
        LabelError: the table cannot be read, or does not say of whom its lines are.
    """
    if not study.data.bagged:
        yield from image_cases(files, study, allow)
        return
    wanted = {one.written_in for one in study.data.variables}
    tables = [path for path in files if path.name == ROLES_FILE] if study.data.sequences else []
    roles = roles_in(tables[0], study.data.sequences) if tables else None
    tables_told = tables_of(source, study.data.variables) if source else []
    if clinical and wanted and (named := read_columns(clinical.parent, clinical, wanted, keyed=True, what=WHAT)):
        tables_told = [named, *tables_told]
    known: dict[Path, Instance] = {}
    if source and index:
        known = {source.folder.resolve() / one.file: one for one in index.accepted}
    together: dict[str, list[Path]] = {}
    for path in files:
        name = "/".join(name_of(known[path], study.data)) if path in known else _record_of(path, study.data)
        together.setdefault(name, []).append(path)
    if study.data.record == "slice":
        for paths in together.values():
            yield from _slices(paths, study.data, allow)
        return
    for name, paths in together.items():
        yield Case(name, tuple(paths), lambda paths=paths: _bag(paths, study, allow, tables_told, roles, known))  # type: ignore[misc]  # of now


def _slices(paths: Sequence[Path], data: Data, allow: frozenset[str]) -> Iterator[Case]:
    """Take each file for an image of its own that is shown among others of these, which are of one series."""
    kept: dict[Path, Asked | ImageRefused] = {}  # until asked about: a series is read once
    given: set[Path] = set()

    def prepare(path: Path) -> Asked:
        if path not in kept:  # at first, or again, when nothing but this one is kept
            kept.update((at, one) for at, one in _read_slices(paths, data, allow) if at == path or at not in given)
        given.add(path)
        asked = kept.pop(path)
        if isinstance(asked, ImageRefused):
            raise asked
        return asked

    for path in paths:
        yield Case(str(path), (path,), lambda path=path: prepare(path))  # type: ignore[misc]  # of now


def _read_slices(
    paths: Sequence[Path], data: Data, allow: frozenset[str]
) -> Iterator[tuple[Path, Asked | ImageRefused]]:
    """Read the images of a series, and show each among the others; or say of each why it is refused."""
    series: dict[str, list[tuple[Path, Asked, Said]]] = {}
    areas = _areas(_readable(paths, lambda path: _opened(path, data, allow)), data)
    for path in paths:
        try:
            one = _opened(path, data, allow)
            asked = one.asked(data, areas.get(path))
        except ImageRefused as reason:
            yield path, reason
        else:  # files of two patients that state one series are of two
            series.setdefault(asked.about.get("patient", ""), []).append((path, asked, one.said))
    for read in series.values():
        ordered = in_order([said for _, _, said in read])
        if isinstance(ordered, str):
            yield from ((path, ImageRefused(ordered, MEANINGS[ordered], do=DO_SERIES)) for path, _, _ in read)
            continue
        for at, shown, far in zip(ordered, *neighbours_of(ordered), strict=True):
            path, asked, _ = read[at]
            slices = np.stack([read[place][1].images[0] for place in shown], axis=1)[None]
            yield (
                path,
                replace(
                    asked, images=with_page(slices, far[None]), about=asked.about | {"images_of_series": len(read)}
                ),
            )


def _record_of(path: Path, data: Data) -> str:
    """Name the record that a file is of, as the file states it; an image that states nothing is of its folder's.

    What is no image is a case of its own, so that it is refused with its own reason.
    """
    which, where = _ABOUT["patient" if data.record == "patient" else "series_uid"], str(path)
    try:
        with refusing("unreadable", "the file cannot be read", where=where):
            with path.open("rb") as file:
                head = file.read(_HEAD)
            folder = str(_folder_of(path, data))
            if (form := format_of(head, where=where)) is not None:
                patient = form.read(read_bytes(path), where).patient if isinstance(form, Guarded) else ""
                if data.record != "patient" and patient:
                    return f"{patient}/{folder}"
                return patient or folder
            return text(dcmread(path, stop_before_pixels=True, specific_tags=[which]), which) or folder
    except ImageRefused:  # it says why when it is read
        return where


def _folder_of(path: Path, data: Data) -> Path:
    """Return the folder that an image that states no patient is taken to be of: above that of its sequence, if any."""
    return path.parent.parent if data.sequences else path.parent


def _bag(
    paths: Sequence[Path],
    study: Study,
    allow: frozenset[str],
    tables: Sequence[Columns],
    roles: Roles | None,
    known: Mapping[Path, Instance],
) -> Asked:
    """Read the images of a record, and what is known of it besides; what is none of the study's is left out.

    Raises:
        ImageRefused: all of them are refused; the first one's reason. Or they have no order, and are read in one.
    """
    data = study.data
    read: list[tuple[Path, Asked]] = []
    said: list[Said] = []
    sequences: list[int] = []
    written: list[list[str]] = [[] for _ in data.variables]
    refused: list[ImageRefused] = []

    def opened(path: Path) -> _Opened:
        return _opened(path, data, allow, roles, trained=path in known)

    areas = _areas(_readable(paths, opened), data)
    for path in paths:
        try:
            found = opened(path)
            asked = found.asked(data, areas.get(path))
            read.append((path, asked))
            said.append(found.said)
            sequences.append(found.sequence)
            cells: dict[str, list[str]] = {}
            for table in reversed(tables):
                one = known.get(path)
                cells |= table.cells(names_of(one, table.key) if one else _names(path, asked, table, data))
            for variable, words in zip(data.variables, written, strict=True):
                words += cells.get(variable.written_in, [found.stated.get(variable.attribute or "", "")])
        except ImageRefused as reason:
            refused.append(reason)
    if not read:
        raise refused[0]
    ordered = _ordered(said, sequences) if study.ordered else list(range(len(read)))
    places, images = zip(*laid_out([sequences[at] for at in ordered], data), strict=True)
    taken = [read[ordered[image]] for image in images]
    about = {key: value for key, value in taken[0][1].about.items() if key not in _OF_AN_IMAGE[data.record]}
    about |= {"images": len(taken), "images_left_out": len(read) - len(taken), "images_refused": len(refused)}
    width = data.places if data.sequences else len(taken)
    bag = np.full((1, data.channels, width, data.square, data.square), PADDING, np.float32)
    for place, (_, asked) in zip(places, taken, strict=True):
        bag[0, :, place] = asked.images[0]
    if data.told:
        told = read_all(data.variables, [written])
        bag = with_page(bag, told.numbers) if data.variables else bag
        readings = there_of(data, sequences if data.sequences else None, [range(len(read))]) | told.readings
        about["not_known"] = {name: how for name, of in readings.items() for how in of if how != "known"}
    return Asked(bag, about, members=tuple(str(path) for path, _ in taken), places=places)


def _ordered(said: Sequence[Said], sequences: Sequence[int]) -> list[int]:
    """Return the places of a record's images in the order in which they are read, one sequence after the other.

    Raises:
        ImageRefused: ``no-order`` or ``same-place``.
    """
    found: list[int] = []
    for sequence in sorted(set(sequences)):
        own = [at for at, of in enumerate(sequences) if of == sequence]
        places = in_order([said[at] for at in own])
        if isinstance(places, str):
            raise ImageRefused(places, MEANINGS[places], do=DO_ASKED)
        found += [own[at] for at in places]
    return found


def _names(path: Path, asked: Asked, table: Columns, data: Data) -> tuple[str, ...]:
    """Return under which names a table may have an image: its file's, its UIDs, or its patient's, or else folder's."""
    about = asked.about
    if table.key == "file":
        return (one_form(relative(str(path), table.folder)),)
    if table.key == "patient":
        return (one_form(about.get("patient") or _folder_of(path, data).name),)
    return tuple(uid for key in ("sop_uid", "series_uid", "study_uid") if (uid := about.get(key)))


def _part(stated: Sequence[str], data: Data) -> dict[str, str]:
    """Say of which body part an image is, in a study that takes only some."""
    return {"body_part": " ".join(stated) or UNKNOWN} if data.body_parts else {}


def _crop(area: Area, data: Data) -> dict[str, dict[str, int]]:
    """Say which part of an image the network sees, in pixels of the image, in a study that cuts images."""
    return {"crop": {"x0": area.left, "y0": area.top, "x1": area.right, "y1": area.bottom}} if cuts(data.steps) else {}


def _other_modality(found: Sequence[str], data: Data) -> ImageRefused:
    return ImageRefused(
        "other-modality",
        f"this is {' and '.join(found) or 'of no stated modality'}, and the model was trained with "
        f"{', '.join(data.modalities)}",
        do="Ask a model that was trained with such images.",
    )


def series_cases(
    files: Sequence[Path], study: Study, allow: frozenset[str], prepare: Prepare
) -> Iterator[Case | Refused]:
    """Take each examination for a case: the series that the study takes of it, told apart as in training."""
    wanted = study.data.series or (ANY,)
    if allow:
        wanted = tuple(replaced(one, allow) for one in wanted)
    found = survey(files)
    for one in found.refused:
        if one.modality and one.modality not in study.data.modalities:  # whatever else is wrong with it
            other = _other_modality([one.modality], study.data)
            yield replace(one, reason=other.reason, what=other.what, do=other.do)
        else:
            yield one
    series = [_grouped(one, several=len(wanted) > 1) for one in found.series]
    tables = [path for path in files if path.name == ROLES_FILE]
    roles = roles_in(tables[0], wanted) if tables else None
    for together in examinations(series).values():
        yield _examination(together, study.data, wanted, roles, prepare)


def replaced(one: Any, allow: frozenset[str]) -> Any:
    """Let a series be of the kinds that were allowed too."""
    return one.model_copy(update={"kinds": tuple({*one.kinds, *allow})})


def _grouped(series: Series, *, several: bool) -> Series:
    """Name the examination of a series whose file does not: a NIfTI file is one, or its folder where several belong."""
    if series.patient or series.study_uid:
        return series
    path = min(series.files)
    return replace(series, study_uid=str(path.parent if several else path))


def _named(together: Sequence[Series]) -> str:
    """Name the series of an examination as their scanner does, with how many have the same name."""
    counts = Counter(f"{one.acquisition.modality} '{one.acquisition.description}'" for one in together)
    return ", ".join(name if count == 1 else f"{name} ({count} series)" for name, count in sorted(counts.items()))


def _examination(
    together: list[Series], data: Data, wanted: Sequence[Any], roles: Roles | None, prepare: Prepare
) -> Case | Refused:
    files = tuple(sorted(path for one in together for path in one.files))
    fitting = [one for one in together if one.acquisition.modality in data.modalities]
    here = _named(together)
    if not fitting:
        error = _other_modality(sorted({one.acquisition.modality for one in together}), data)
        return Refused(error.reason, error.what, error.do, files)
    parts = sorted({word for one in fitting for word in one.acquisition.body_parts})
    fitting = [one for one in fitting if not is_other(one.acquisition.body_parts, data.body_parts)]
    if not fitting:
        error = other_body_part(parts, data.body_parts)
        return Refused(error.reason, error.what, error.do, files)
    choice = choose(fitting, wanted, roles)
    if choice.open:
        return Refused(
            "unclear-series",
            f"several series fit {', '.join(choice.open)}; here are {here}",
            f"Name the series alone, or say in {ROLES_FILE} which is meant (docs/volumes.md).",
            files,
        )
    if choice.missing:
        return Refused(
            "missing-series",
            f"no series fits {', '.join(choice.missing)}; here are {here}",
            f"If one of them is meant, say so in {ROLES_FILE} (docs/volumes.md).",
            files,
        )
    taken = tuple(choice.taken[one.role] for one in wanted)
    if len({one.frame_of_reference for one in taken}) > 1:
        return Refused(
            "other-frame",
            "its series measure positions from different origins, so that they cannot be laid on one another",
            "Ask about an examination whose series were acquired together.",
            files,
        )
    used = tuple(sorted(path for one in taken for path in one.files))

    def asked() -> Asked:
        about = {"patient": taken[0].patient, "study_uid": taken[0].study_uid, "series_uid": taken[0].uid}
        if taken[0].stored == "nifti":
            about = {}
        made = prepare(taken, data)
        about |= _part([*dict.fromkeys(word for one in taken for word in one.acquisition.body_parts)], data)
        return replace(made, about=made.about | about | {"notes": [note for one in taken for note in one.notes]})

    return Case(taken[0].uid, used, asked, taken)


def slices_of(series: Sequence[Series], data: Data) -> Asked:
    """Bring the series of an examination into the form of a network that says something of each slice by itself.

    Raises:
        ImageRefused: a series cannot be read, or does not lie where the first one does.
    """
    grid = series[0].geometry
    area = series_area(series[0], grid, data)
    images = np.stack([*forms(series, grid, data, range(grid.shape[0]), area)])  # (slices, channels, size, size)
    return Asked(images, _crop(area, data), area=area, hanging=grid.hanging)


def slice_by_slice(series: Sequence[Series], data: Data) -> Asked:
    """Bring the series of an examination into the form of a network that sees slices.

    The answer lies on the grid of the first one, on which the others are laid.

    Raises:
        ImageRefused: a series cannot be read, or does not lie where the first one does.
    """
    grid = series[0].geometry
    area = series_area(series[0], grid, data)
    images = np.stack([*forms(series, grid, data, range(grid.shape[0]), area)])  # (slices, channels, size, size)

    def back(outputs: torch.Tensor) -> NDArray[np.uint8]:
        starts = range(0, len(outputs), SLICES_BACK)
        drawn = [from_form(outputs[at : at + SLICES_BACK], *area.shape, grid.hanging) for at in starts]
        return area.back(np.concatenate(drawn), *grid.shape[1:])

    def lay(heat: NDArray[np.float32]) -> NDArray[np.float32]:
        return map_from_form(heat, area, *grid.shape[1:], grid.hanging)

    return Asked(images, _crop(area, data), back=back, lay=lay)


def whole_volume(series: Sequence[Series], data: Data) -> Asked:
    """Bring the series of an examination into the form of a network that sees patches of volumes.

    As in training, but for what is cut off around the body, which there never is what was outlined.

    Raises:
        ImageRefused: a series cannot be read, or does not lie where the first one does.
    """
    grid = series[0].geometry
    channels = channels_of(series, grid, data)
    form = VolumeForm.of(grid, body_of(series[0], channels[0], grid, data), data.spacing_mm or grid.spacing_mm)

    def read(number: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([channel.slice(number) for channel in channels]))

    planes = np.stack([plane.numpy() for plane in form.slices(read)])  # (slices, channels, rows, columns) of the series
    images = np.ascontiguousarray(form.turned(planes.swapaxes(0, 1))[None])

    def back(outputs: torch.Tensor) -> NDArray[np.uint8]:
        return form.back(outputs[0].argmax(0).to(torch.uint8).numpy())

    def lay(heat: NDArray[np.float32]) -> NDArray[np.float32]:
        levels = form.back(np.rint(heat[0] * _LEVELS).astype(np.uint8))
        return levels.astype(np.float32) / np.float32(_LEVELS)

    return Asked(images, {}, back=back, lay=lay, window=data.patch_size)
