"""The tasks that this hospital installed: each module of this package with a value ``TASK`` is one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from wardround_client import tasks
from wardround_client.tasks.contract import LocalTask
from wardround_common.tasks.contract import TaskSection


def _found() -> Iterator[LocalTask[Any, Any]]:
    for module in iter_modules(tasks.__path__, f"{tasks.__name__}."):
        task = getattr(import_module(module.name), "TASK", None) if module.name != __name__ else None
        if isinstance(task, LocalTask):
            yield task


LOCAL_TASKS: dict[str, LocalTask[Any, Any]] = {local.task.name: local for local in _found()}


def local_task(section: TaskSection) -> LocalTask[Any, Any]:
    """Return the hospital's part of the task of a study's section."""
    return LOCAL_TASKS[section.name]
