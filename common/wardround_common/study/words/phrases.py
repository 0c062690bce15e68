"""Parts of sentences that several passages need."""

from __future__ import annotations

from typing import Any

from wardround_common.study.file import Study
from wardround_common.tasks.contract import Task
from wardround_common.tasks.registry import task_of


def task_in(study: Study) -> Task[Any, Any]:
    """Return the task of a study."""
    return task_of(study.task)


def listed(words: tuple[str, ...] | list[str]) -> str:
    """Write names as a sentence lists them: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def only(study: Study) -> str:
    """Name the hospitals that only evaluate."""
    return listed(study.evaluation.external)


def s_of(names: tuple[str, ...]) -> str:
    """Return the ending of a verb whose subject they are."""
    return "s" if len(names) == 1 else ""


def asked_about(study: Study) -> str:
    """Return what a model is asked about, several of them: images, examinations, patients or series."""
    if task_in(study).takes_series(study.task):
        return "examinations"
    if not study.data.gathered:
        return "images"
    return "patients" if study.data.record == "patient" else "series"


def trained_on(study: Study) -> tuple[str, str]:
    """Name what a step of training takes one or several of: images, records of several images, patches of volumes."""
    if study.data.patch_size is not None:
        return "patch", "patches"
    return ("record", "records") if study.data.gathered else ("image", "images")
