"""One label for each image, a word of the study's classes, for every task that learns from such labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import find_labels
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Found, Targets
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.tasks.classification import Classification
from wardround_common.tasks.grades import Grades
from wardround_common.tasks.registry import task_of

Section = Classification | Grades


def find(source: Source, index: Index, study: Study) -> Found:
    """Read the label of each accepted file.

    Raises:
        DataError: nothing is labelled, or what is said contradicts itself.
    """
    found = find_labels(
        source.folder,
        index,
        study.groups,
        csv=source.labels,
        attribute=source.label_attribute,
        called=task_of(study.task).group_words,
    )
    return Found(found.words, found.patients)


def targets(source: Source, data: Data, section: Section, files: Sequence[Instance], found: Found) -> NDArray[np.int64]:
    """Return the number of each file's class, (files,)."""
    numbers = {word: number for number, word in enumerate(section.classes)}
    return np.array([numbers[found.words[instance.file]] for instance in files], np.int64)


def members(section: Section, targets: Targets) -> NDArray[np.bool_]:
    """Return whether each record is of each class, (records, classes)."""
    those: NDArray[np.bool_] = targets[:][:, None] == np.arange(len(section.classes))
    return those
