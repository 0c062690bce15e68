"""What a hospital contributes to a study: images, patients and labels of each class, shown before it approves.

The hospital keeps what it said with each approval, to tell a change the next time, and where it only evaluates, to
answer with no other data. Counts and digests only, for its own people: nothing of it leaves the hospital.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from wardround_client.preparation.dataset import Dataset
from wardround_client.spending.account import OTHER_DATA, OTHER_DATA_DO
from wardround_client.tasks.registry import local_task
from wardround_common.errors import PrivacyError, StorageError
from wardround_common.refusals import explained
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study

FILE = "contributions.json"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassCount(_Kept):
    """How much a hospital has of one class."""

    word: str
    images: int
    patients: int
    """Who has an image of this class; a patient with images of two classes counts in both."""

    def __str__(self) -> str:
        return f"{_of(self.images, 'image')} of {_of(self.patients, 'patient')}"


class Contribution(_Kept):
    """What one study takes of one hospital, over training, validation and test."""

    images: int
    patients: int
    classes: tuple[ClassCount, ...]
    """In the study's order."""
    left_out: dict[str, int]
    """Accepted images that the study does not take, by reason."""
    labels_disagree: int = 0
    """Pairs of near-copies with different labels."""
    joined_patients: int = 0
    """Patients who share near-copies with another one, and are kept in one split with them."""
    split_copies: int = 0
    """Pairs of near-copies on two sides of the split."""
    labelled: str
    """Digest of which pixels have which label: it tells a change that the counts do not show."""
    data: str = ""
    """The data set's fingerprint; empty in a record of an earlier version."""

    def sentences(self) -> Iterator[str]:
        """Say what is brought, in plain words."""
        yield f"This hospital brings {_of(self.images, 'image')} of {_of(self.patients, 'patient')}:"
        width = max(len(count.word) for count in self.classes)
        for count in self.classes:
            yield f"  {count.word:<{width}}  {count}"
        if self.left_out:
            yield f"The study leaves out: {explained(dict(sorted(self.left_out.items())))}."

    def warnings(self) -> Iterator[str]:
        """Say which classes are missing, and what is wrong with copies."""
        if self.labels_disagree:
            yield (
                f"labels disagree in {_of(self.labels_disagree, 'pair')} of near-identical images; the report of "
                "'wardround scan FOLDER' shows them side by side."
            )
        if self.joined_patients:
            yield (
                f"{_of(self.joined_patients, 'patient')} share near-identical images with another patient. They are "
                "kept on one side of the split; but if two of them are one person, epsilon holds for each name, not "
                "for the person. Give them one name in the column 'patient' of labels.csv."
            )
        if self.split_copies:
            yield (
                f"{_of(self.split_copies, 'pair')} of near-identical images stand on two sides of the split of "
                "patients, since too many patients share them: test numbers may be too good."
            )
        there = [count for count in self.classes if count.images]
        if len(there) == 1 < len(self.classes) and there[0].images == self.images:
            yield (
                f"every label is '{there[0].word}': a hospital with only one class teaches the model nothing about the "
                "others, and its test numbers mean nothing. Check the labels."
            )
        else:
            missing = [f"'{count.word}'" for count in self.classes if not count.images]
            if missing:
                yield f"no image has the label {' or '.join(missing)}."


class Earlier(_Kept):
    """What was brought to a study when it was approved, and when that was."""

    study: str
    """Its digest."""
    name: str
    when: datetime
    brought: Contribution

    def changes(self, now: Contribution) -> Iterator[str]:
        """Say what is otherwise now than it was then."""
        before = self.brought
        since = f"since {self.name} was approved on {self.when:%Y-%m-%d}"
        pairs = [("all", _whole(before), _whole(now))]
        pairs += [(f"'{a.word}'", str(a), str(b)) for a, b in zip(before.classes, now.classes, strict=True)]
        said = [f"{what} now {after}, before {then}" for what, then, after in pairs if then != after]
        if said:
            yield f"changed {since}: {'; '.join(said)}."
        elif before.labelled != now.labelled:
            yield f"changed {since}: the numbers are the same, but the images or their labels differ."


class _File(_Kept):
    earlier: tuple[Earlier, ...] = ()


def contribution(dataset: Dataset, study: Study) -> Contribution:
    """Count what a data set brings to a study."""
    splits = (dataset.train, dataset.validation, dataset.test)
    members = [local_task(study.task).members(study.task, split.targets)[split.once] for split in splits]
    of = np.concatenate(members)  # (images, groups)
    patients = np.concatenate([split.patients[split.once] for split in splits])  # (images,)
    return Contribution(
        images=len(of),
        patients=len(np.unique(patients)),
        classes=tuple(
            ClassCount(
                word=word,
                images=int(of[:, number].sum()),
                patients=len(np.unique(patients[of[:, number]])),
            )
            for number, word in enumerate(study.groups)
        ),
        left_out=dataset.intake.left_out,
        labels_disagree=dataset.intake.labels_disagree,
        joined_patients=dataset.intake.joined_patients,
        split_copies=dataset.intake.duplicates_across_splits,
        labelled=dataset.labelled,
        data=dataset.fingerprint,
    )


def earlier_contribution(folder: Path, study: Study) -> Earlier | None:
    """Find what was brought before: to this study, else to the last one with the same classes.

    Raises:
        StorageError: what was kept cannot be read.
    """
    digest, words = study.digest(), study.groups
    found = [e for e in _read(folder / FILE).earlier if tuple(count.word for count in e.brought.classes) == words]
    same = [earlier for earlier in found if earlier.study == digest]
    return max(same or found, key=lambda earlier: earlier.when, default=None)


def check_contribution(folder: Path, study: Study, dataset: Dataset) -> None:
    """Check that a hospital that only evaluates has the data with which it approved; of others the ledger knows them.

    The sums over test patients are exact: asked again with one patient more, the difference would be that patient's.

    Raises:
        PrivacyError: it has others, or it is not on record with which it approved.
        StorageError: what was kept cannot be read.
    """
    earlier = earlier_contribution(folder, study)
    before = earlier.brought if earlier and earlier.study == study.digest() else None
    known = None
    if before is not None:
        known = (before.data, dataset.fingerprint) if before.data else (before.labelled, dataset.labelled)
    if known is None:
        raise PrivacyError(
            "there is no record of the images and labels with which this hospital approved the study",
            do="Approve the study again.",
        )
    if known[0] != known[1]:
        raise PrivacyError(OTHER_DATA, do=OTHER_DATA_DO)


def keep_contribution(folder: Path, study: Study, brought: Contribution, now: datetime) -> None:
    """Keep what was brought to a study, in place of what was brought to it before.

    Raises:
        StorageError: it cannot be read or written.
    """
    others = tuple(earlier for earlier in _read(folder / FILE).earlier if earlier.study != study.digest())
    new = Earlier(study=study.digest(), name=study.study.name, when=now, brought=brought)
    write_atomically(folder / FILE, _File(earlier=(*others, new)).model_dump_json(indent=1).encode(), private=True)


def _read(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _File()
    except (OSError, ValidationError):
        raise StorageError(
            "the record of what this hospital contributed to earlier studies cannot be read",
            where=str(path),
            do="Restore it, or remove it: the next approval then has nothing to compare with, and a study in which "
            "this hospital only evaluates must be approved again.",
        ) from None


def _whole(brought: Contribution) -> str:
    return f"{_of(brought.images, 'image')} of {_of(brought.patients, 'patient')}"


def _of(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
