"""The tasks that this hospital installed: each module of this package with a value ``TASK`` is one."""

from __future__ import annotations

from typing import Any

import torch

from wardround_client import tasks
from wardround_client.tasks.contract import LocalTask, Loss
from wardround_common.errors import PluginError
from wardround_common.installed import installed
from wardround_common.plugins.loading import part
from wardround_common.plugins.names import is_plugin, package_of, part_of
from wardround_common.registry import Registry
from wardround_common.study.file import Study
from wardround_common.tasks.contract import TaskSection
from wardround_common.tasks.registry import task_of

LOCAL_TASKS: dict[str, LocalTask[Any, Any]] = {
    local.task.name: local for local in installed(tasks, "TASK", LocalTask, besides=__name__)
}
"""The hospital's part of each task of ``TASKS``."""
LOSSES: Registry[Loss] = Registry("loss", dict)
"""A researcher's own losses; those that are installed are the tasks' own."""


def local_task(section: TaskSection) -> LocalTask[Any, Any]:
    """Return the hospital's part of the task of a study's section.

    Raises:
        PluginError: the task is of a plug-in that declares no such part, or something else by its name.
    """
    if not is_plugin(section.name):
        return LOCAL_TASKS[section.name]
    found = part("local task", section.name)
    if not isinstance(found, LocalTask) or found.task is not task_of(section):
        raise PluginError(
            f"its local task {part_of(section.name)!r} is no LocalTask of the task that it declares",
            where=f"plug-in {package_of(section.name)}",
        )
    return found


def loss_of(study: Study, device: torch.device) -> Loss:
    """Return what training of a study makes small: the task's loss, or a researcher's own.

    Raises:
        StudyError: it is a researcher's own, and not here.
    """
    own = study.training.own_loss
    return LOSSES[own] if own else local_task(study.task).loss(study.task, study.training, device)
