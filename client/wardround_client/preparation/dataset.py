"""A hospital's images in the form that a study's network sees, prepared once; patients are split, never images."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.images.hanging import Hanging
from wardround_client.images.plugin_formats import let_in_only
from wardround_client.intake.duplicates import joined_patients
from wardround_client.intake.identification import identify
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Basis, Doubts, Index, Instance
from wardround_client.intake.kept_pairs import near_pairs_kept
from wardround_client.intake.kept_pixels import Kept
from wardround_client.intake.patients import check_guesses, count_by_basis, said_of_doubts, said_of_patients
from wardround_client.preparation import tensors
from wardround_client.preparation.bags import KeptBags, bags_of, name_of, neighbours_of
from wardround_client.preparation.examples import Examples, targets_at
from wardround_client.preparation.kept_images import Prepared, keep_images
from wardround_client.preparation.order import order_of
from wardround_client.preparation.sequences import sequences_of
from wardround_client.preparation.source import Source, fitting
from wardround_client.preparation.splitting import LEAST_PATIENTS, split_patients
from wardround_client.preparation.subgroups import subgroups_of
from wardround_client.preparation.variables import Readings, there_of, told_of
from wardround_client.tasks.contract import Found, LocalTask, Records
from wardround_client.tasks.registry import local_task
from wardround_common.counting import count as counted
from wardround_common.errors import DataError
from wardround_common.messages.rounds import Split
from wardround_common.refusals import explained
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.plugins import admit_steps
from wardround_common.study.steps import Area
from wardround_common.tasks.registry import task_of

TEST = 2  # the number of the test patients' part in a split


@dataclass(frozen=True)
class Intake:
    """What became of a hospital's files on their way into a study: counts only."""

    refused: dict[str, int]
    """Files that the scan refused, by reason."""
    left_out: dict[str, int]
    """Accepted files that this study does not use, by reason."""
    scanners: tuple[str, ...]
    duplicates_across_splits: int
    allowed: tuple[str, ...]
    patients: dict[Basis, int] = field(default_factory=dict)
    """Patients of the images that are used, by how they were identified."""
    doubts: Doubts = field(default_factory=Doubts)
    """What contradicts itself about who is a patient, in the whole folder."""
    confirmed: frozenset[str] = frozenset()
    """The guesses of who is a patient that the hospital confirmed."""
    joined_patients: int = 0
    """Patients kept in one split with another one, since they share near-copies of an image."""
    labels_disagree: int = 0
    """Pairs of near-copies with different labels."""
    variables: Readings = field(default_factory=dict)
    """Of how many records each variable of the study is known, and how the others were read."""


@dataclass(frozen=True)
class Pictured:
    """Of which files the test images are: where masks can be laid on them."""

    folder: Path = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    """(test images,) in the order of the split."""
    hanging: tuple[Hanging, ...] = ()
    """(test images,) how each hangs, by what its file says."""
    areas: Mapping[str, Area] = field(default_factory=dict, repr=False)
    """File to the part of its image that the network sees, where a step cuts images."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One hospital's data for one study."""

    train: Examples
    validation: Examples
    test: Examples
    intake: Intake
    fingerprint: str
    """Digest of which images, labels and split these are, and in which subgroup each test patient is where the study
    asks; of a hospital that only evaluates, of whose patients they are too. It changes when one of them does."""
    identifiers: tuple[str, ...] = field(repr=False)
    """By the codes of ``Examples.patients``: what the hospital's files call the patient. For the ledger only."""
    labelled: str = ""
    """Digest of which pixels have which label word, the same in every study that takes them."""
    accounts: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    """By the same codes: under which names the ledger charges the patient; empty where that is the identifier."""
    trains: bool = True
    """Whether the hospital trains; one that only evaluates has all its patients in ``test``."""
    by_subgroup: tuple[NDArray[np.int64], ...] = field(default=(), repr=False)
    """(test patients,) in the order of their codes, for each of the study's ``[evaluation] subgroups``: which one,
    small ones merged (``subgroups.safe``); empty where nothing is told by subgroup."""
    pictured: Pictured | None = field(default=None, repr=False)
    """None where a record is not one file."""

    def charged(self, examples: Examples) -> list[str]:
        """Name the patients of a split as the ledger charges them: some have two names, some share one."""
        codes = np.unique(examples.patients)
        if not self.accounts:
            return [self.identifiers[code] for code in codes]
        return [name for code in codes for name in self.accounts[code]]

    def split(self, name: Split) -> Examples:
        """Return the split of that name."""
        return self.validation if name == "validation" else self.test


def take_in(source: Source, study: Study) -> tuple[Index, Found]:
    """Scan what changed in the hospital's folder, find what is said of its files, and decide who is a patient.

    Raises:
        DataError: the folder cannot be read, or what is said of its files does not fit the study's task.
        PluginError: a step of a plug-in is not installed as the study names it, or is none that it could name so.
    """
    admit_steps(study)
    let_in_only(source.formats)
    if source.arrays:
        return tensors.take_in(source, study)
    index = scan(source.folder, state=source.state, allow=source.allow)
    if not index.refused and not index.accepted:
        raise DataError(
            "the folder holds no files", where=str(source.folder), do="Name the folder that holds the images."
        )
    if not index.accepted:
        counts = Counter(refusal.reason for refusal in index.refused).most_common()
        raise DataError(
            f"{index.all_refused}: {explained(dict(counts))}",
            where=str(source.folder),
            do=f"'wardround scan {shlex.quote(str(source.folder))}' says what to do about each, and what --allow "
            "accepts anyway; a hospital that serves has allow = [...] in its hospital.toml.",
        )
    found = local_task(study.task).find(source, index, study)
    index = replace(
        index,
        accepted=tuple(one for one in index.accepted if one.file not in found.aside),
        refused=tuple(one for one in index.refused if one.file not in found.aside),
    )
    return identify(index, found.patients, found.words, groups=study.groups, confirmed=source.confirmed), found


def wanted_images(source: Source, study: Study, index: Index, found: Found) -> tuple[list[Instance], Counter[str]]:
    """Choose the accepted images that a study asks for, and count the others by why they are left out."""
    wanted: list[Instance] = []
    ours = (one for one in index.accepted if source.patients is None or one.patient in source.patients)
    taken, left_out = fitting(ours, study.data)
    for instance in taken:
        if instance.file not in found.words:
            left_out[found.left_out.get(instance.file, "no-label")] += 1
        else:
            wanted.append(instance)
    return wanted, left_out


def prepare(
    source: Source,
    study: Study,
    index: Index,
    found: Found,
    *,
    trains: bool = True,
) -> Dataset:
    """Prepare the images that the study asks for, unless they are kept from before, and split the patients.

    ``trains``: where a hospital only evaluates, the model is tested on all its patients, and there may be any number.

    Raises:
        DataError: nothing can be used, or there are too few patients to split.
        PrivacyError: the study has differential privacy, and who is a patient is guessed without the hospital's word.
        PluginError: a step of a plug-in does what no step may.
    """
    wanted, left_out = wanted_images(source, study, index, found)
    made = _records(source, study, wanted, found, index.kept)
    used = made.files
    left_out.update(made.left_out.values())
    left_out.update({f"{found.unmet_of}-{reason}": count for reason, count in found.unmet.items()})
    if not used:
        why = explained(dict(left_out.most_common())) or "no image was accepted"
        labelled = len(study.groups) > 1 or not task_of(study.task).generates
        labels = f" with the labels {', '.join(study.groups)}" if labelled else ""
        raise DataError(
            f"no image can be used for this study: {why}",
            where=str(source.folder),
            do=_do_of_volumes([one for one in wanted if made.left_out.get(one.file) == "volume"])
            + f"The study takes {', '.join(study.data.modalities)}{labels}; "
            f"'wardround scan {shlex.quote(str(source.folder))}' says what the folder holds. If that is right, tell "
            "the coordinator.",
        )
    by_basis = count_by_basis(used)
    if study.privacy.mechanism != "none":
        check_guesses(by_basis, source.confirmed)
    accounts = {instance.patient: instance.accounts or (instance.patient,) for instance in used}
    names = sorted(accounts)
    code_of = {name: code for code, name in enumerate(names)}
    patients = np.array([code_of[name] for name in made.patients], np.int64)  # (records,)
    local, targets = local_task(study.task), made.targets
    words = [found.words[instance.file] for instance in used]
    pairs = near_pairs_kept(used, source.state)
    joined = joined_patients(used, pairs)
    units = np.array([code_of[joined[name]] for name in names], np.int64)  # (patients,)
    part_of: NDArray[np.int8] | None = np.full(len(names), TEST, np.int8)  # (patients,)
    if trains:
        part_of = split_patients(patients, local.strata(study.task, targets), study, units)
    if part_of is None:
        raise DataError(
            f"{len(names)} {'patient is' if len(names) == 1 else 'patients are'} too few: each needs to be in one of "
            f"training, validation and test ({'; '.join([said_of_patients(by_basis), *said_of_doubts(index.doubts)])})",
            where=str(source.folder),
            do=f"A hospital takes part with {LEAST_PATIENTS} patients or more. If there are more, name the patient of "
            "each file in the column 'patient' of labels.csv.",
        )
    parts = part_of[patients]  # (records,)
    of_file = part_of[[code_of[instance.patient] for instance in used]]  # (files,)

    def examples(part: int) -> Examples:
        here = np.flatnonzero(parts == part)
        if part == 0 and local.trained is not None:
            here = here[local.trained(study, targets_at(targets, here), patients[here])]
        return Examples(
            made.images,
            made.rows[here],
            targets_at(targets, here),
            patients[here],
            made.places and made.places.at(here),
        )

    fingerprint = hashlib.sha256(made.stamp + parts.tobytes()).hexdigest()
    is_file_each = not (source.arrays or local.records or study.data.gathered)
    tested = [one for one, part in zip(used, of_file, strict=True) if part == TEST]
    by_subgroup = subgroups_of(source, study.evaluation, tested, fingerprint)
    # Exact sums before and after one patient came into another subgroup would differ by that patient's.
    if told := (*by_subgroup, *(() if trains else (patients,))):
        fingerprint = hashlib.sha256(fingerprint.encode() + b"".join(one.tobytes() for one in told)).hexdigest()
    return Dataset(
        train=examples(0),
        validation=examples(1),
        test=examples(2),
        fingerprint=fingerprint,
        by_subgroup=by_subgroup,
        intake=Intake(
            refused=dict(Counter(refusal.reason for refusal in index.refused)),
            left_out=dict(left_out),
            scanners=tuple(sorted({f"{i.manufacturer} {i.scanner}".strip() or "unknown" for i in used})),
            duplicates_across_splits=sum(bool(of_file[one] != of_file[other]) for one, other in pairs),
            allowed=index.allowed,
            patients=by_basis,
            doubts=index.doubts,
            confirmed=source.confirmed,
            joined_patients=sum(_sizes_kept_together(units, part_of)),
            labels_disagree=sum(words[one] != words[other] for one, other in pairs),
            variables=made.variables,
        ),
        identifiers=tuple(names),
        labelled=_labelled(used, words),
        accounts=tuple(accounts[name] for name in names),
        trains=trains,
        pictured=_pictured(source.folder, tested, made.areas) if is_file_each else None,
    )


def _do_of_volumes(volumes: Sequence[Instance]) -> str:
    """Say what to do with files of several images each, which a study of single images leaves out."""
    if not volumes:
        return ""
    kinds = Counter(one.transfer_syntax if one.plain else "enhanced or multi-frame DICOM" for one in volumes)
    said = " and ".join(counted(number, f"{kind} file") for kind, number in kinds.most_common())
    return (
        f"The network of this study sees single images, and {said} hold{'s' * (len(volumes) == 1)} several: export "
        "each frame or slice as a file of its own. "
    )


def _pictured(folder: Path, tested: Sequence[Instance], areas: Mapping[str, Area]) -> Pictured:
    return Pictured(folder, tuple(one.file for one in tested), tuple(one.hanging for one in tested), areas)


def _records(
    source: Source, study: Study, wanted: Sequence[Instance], found: Found, kept: Mapping[str, Kept]
) -> Records:
    """Return the records of these files; where each file is one, its image is prepared here."""
    local = local_task(study.task)
    if source.arrays:
        return tensors.records(source, study, wanted)
    if local.records is not None and (local.targets is None or local.task.takes_series(study.task)):
        return local.records(source, study, wanted, found)
    wanted, put = _put_together(source, study, wanted)
    prepared = keep_images(source, study.data, wanted, kept)
    if prepared.areas:
        outside = {file: "outside-crop" for file, area in prepared.areas.items() if _cut_off(found, file, area)}
        prepared = replace(prepared, refused=prepared.refused | outside)
        found = replace(found, areas=prepared.areas)
    used = tuple(one for one in wanted if prepared.refused.get(one.file) is None)
    targets = _targets(local, source, study, used, found)
    if study.data.record == "slice":
        return _slices(prepared, study.data, used, targets, put)
    if study.data.bagged:
        return _bagged(source, study.data, prepared, used, targets, found, put)
    return Records(
        stamp=prepared.key.encode() + targets.tobytes(),
        images=prepared.images,
        rows=np.array([prepared.row_of[one.file] for one in used], np.int64),
        targets=targets,
        files=used,
        patients=tuple(one.patient for one in used),
        left_out=prepared.refused,
        areas=prepared.areas,
    )


def _cut_off(found: Found, file: str, area: Area) -> bool:
    """Tell whether something that is marked in an image has its middle beyond what is left of it."""
    return not all(area.holds(row, column) for row, column in found.centres.get(file, ()))


@dataclass(frozen=True)
class Put:
    """Where the images of records of several are: by file, the number of its sequence and its place in the order."""

    sequence: Mapping[str, int | str] = field(repr=False)
    order: Mapping[str, int | str] = field(repr=False)

    @property
    def left_out(self) -> dict[str, str]:
        """By file why it is in no record."""
        both = (*self.sequence.items(), *self.order.items())
        return {file: why for file, why in both if isinstance(why, str)}

    def numbers(self, files: Sequence[Instance], data: Data) -> list[int] | None:
        """Return the number of each one's sequence; None where the study tells none apart."""
        return [int(self.sequence[one.file]) for one in files] if data.sequences else None


def _put_together(source: Source, study: Study, wanted: Sequence[Instance]) -> tuple[list[Instance], Put]:
    """Tell apart and order the images of records of several, and keep those that have a place in one."""
    data = study.data
    sequence = sequences_of(source, data.sequences, wanted) if data.sequences else {}
    wanted = [one for one in wanted if not isinstance(sequence.get(one.file), str)]
    order = order_of(source, data, wanted, sequence) if study.ordered else {}
    return [one for one in wanted if not isinstance(order.get(one.file), str)], Put(sequence, order)


def _slices(prepared: Prepared, data: Data, used: Sequence[Instance], targets: NDArray[Any], put: Put) -> Records:
    """Return a record of each image, in which it is shown among others: of the same patient's series, always."""
    series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(used):
        series[name_of(one, data)].append(place)
    rows = np.array([prepared.row_of[one.file] for one in used], np.int64)
    shown, far = np.zeros((len(used), data.places), np.int64), np.zeros((len(used), 1), np.float32)
    for places in series.values():
        places.sort(key=lambda place: put.order[used[place].file])
        shown[places], far[places] = neighbours_of(rows[places].tolist())
    return Records(
        stamp=prepared.key.encode() + shown.tobytes() + targets.tobytes(),
        images=KeptBags(prepared.images, shown, far),
        rows=np.arange(len(used)),
        targets=targets,
        files=tuple(used),
        patients=tuple(one.patient for one in used),
        left_out=prepared.refused | put.left_out,
        areas=prepared.areas,
    )


def _bagged(
    source: Source,
    data: Data,
    prepared: Prepared,
    used: Sequence[Instance],
    targets: NDArray[Any],
    found: Found,
    put: Put,
) -> Records:
    """Return records of several images each, of what is prepared of each image."""
    rows = np.array([prepared.row_of[one.file] for one in used], np.int64)
    numbers = put.numbers(used, data)
    bags, together = bags_of(used, rows, found.words, data, numbers, put.order)
    first = [places[0] for places in together]
    told = told_of(source, data.variables, used, together) if data.variables else None
    stamp = prepared.key.encode() + bags.tobytes() + targets[first].tobytes()
    return Records(
        stamp=stamp if told is None else stamp + told.numbers.tobytes(),
        images=KeptBags(prepared.images, bags, told.numbers if told else None),
        rows=np.arange(len(bags)),
        targets=targets[first],
        files=tuple(used),
        patients=tuple(used[place].patient for place in first),
        left_out=prepared.refused | put.left_out,
        variables=there_of(data, numbers, together) | (told.readings if told else {}),
    )


def variables_of(source: Source, study: Study) -> Readings:
    """Say of how many records of a hospital each input of the study is known; no image is decoded for it.

    Raises:
        DataError: the folder or a table cannot be read, or what is said of the files does not fit the study's task.
    """
    index, found = take_in(source, study)
    wanted, _ = wanted_images(source, study, index, found)
    data = study.data
    wanted, put = _put_together(source, study, wanted)
    numbers = put.numbers(wanted, data)
    _, together = bags_of(wanted, np.arange(len(wanted)), found.words, data, numbers)
    return there_of(data, numbers, together) | told_of(source, data.variables, wanted, together).readings


def without_order(source: Source, study: Study) -> dict[str, int]:
    """Count the records of a hospital that are left out since their images have no order, by reason.

    Raises:
        DataError: the folder or a table cannot be read, or what is said of the files does not fit the study's task.
    """
    index, found = take_in(source, study)
    wanted, _ = wanted_images(source, study, index, found)
    _, put = _put_together(source, study, wanted)
    records = {name_of(one, study.data): why for one in wanted if isinstance(why := put.order.get(one.file), str)}
    return dict(Counter(records.values()))


def _targets(
    local: LocalTask[Any, Any], source: Source, study: Study, used: Sequence[Instance], found: Found
) -> NDArray[Any]:
    if local.targets is None:
        raise TypeError(f"the task {local.task.name} says neither targets nor records")
    return local.targets(source, study.data, study.task, used, found)


def strata_by_patient(source: Source, study: Study, wanted: Sequence[Instance], found: Found) -> dict[str, int]:
    """Return the highest stratum of each patient's records; no image is decoded for it that need not be."""
    local = local_task(study.task)
    if local.records is not None or source.arrays:
        made = _records(source, study, wanted, found, {})
        patients, targets = made.patients, made.targets
    else:
        patients, targets = tuple(one.patient for one in wanted), _targets(local, source, study, wanted, found)
    highest: dict[str, int] = defaultdict(int)
    if len(patients):
        for patient, stratum in zip(patients, local.strata(study.task, targets).tolist(), strict=True):
            highest[patient] = max(highest[patient], stratum)
    return dict(highest)


def _sizes_kept_together(units: NDArray[np.int64], part_of: NDArray[np.int8]) -> list[int]:
    """Return how many patients each unit of several has, of those that are in one split."""
    parts = [part_of[units == unit] for unit in np.flatnonzero(np.bincount(units) > 1)]
    return [len(part) for part in parts if (part == part[0]).all()]


def _labelled(used: Sequence[Instance], words: list[str]) -> str:
    pairs = sorted(f"{instance.pixel_digest} {word}" for instance, word in zip(used, words, strict=True))
    return hashlib.sha256("\n".join(pairs).encode()).hexdigest()
