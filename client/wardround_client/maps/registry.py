"""The methods of explanation that are installed: each file of ``methods`` with a value ``METHOD`` is one."""

from __future__ import annotations

import importlib
from typing import Any

from wardround_client.maps import methods
from wardround_client.maps.contract import Method
from wardround_client.maps.known import known_methods
from wardround_common.errors import StudyError
from wardround_common.installed import file_of
from wardround_common.nearest import nearest
from wardround_common.tasks.contract import Task

USUAL, USUAL_OF_OUTLINES = "integrated-gradients", "views"
"""The first of what was measured (docs/benchmarks/use.md): most of its maps lies in lesions."""

WITHOUT_GRADIENT = "occlusion"
"""What takes its place where nobody chooses and the network has none to give: it asks again, of parts made black."""


def find(name: str | None, task: Task[Any, Any]) -> tuple[str, Method]:
    """Return a method and its name; without a name, the usual one of the task.

    Raises:
        StudyError: there is none of this name, or it is not for such a task.
    """
    if task.name == "detection":
        raise StudyError("maps are of classes or outlines, and this model draws boxes", do="Look at its boxes.")
    chosen = name or (USUAL_OF_OUTLINES if task.dense else USUAL)
    known = known_methods()
    if chosen not in known:
        near = nearest(chosen, known)
        meant = f"Did you mean {near}? " if near else ""
        raise StudyError(f"there is no method '{chosen}'", do=f"{meant}Known are {', '.join(known)}.")
    method = _imported(chosen)
    if method.dense != task.dense:
        what = "outlines" if task.dense else "classes of whole images"
        fit = [other for other in known if _imported(other).dense == task.dense]
        raise StudyError(
            f"the method '{chosen}' is not for a model of {what}", do=f"Choose {' or '.join(fit)} with --method."
        )
    return chosen, method


def _imported(name: str) -> Method:
    method: Method = importlib.import_module(f"{methods.__name__}.{file_of(name)}").METHOD
    return method
