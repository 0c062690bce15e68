"""The tasks that this hospital installed: each module of this package with a value ``TASK`` is one."""

from __future__ import annotations

from typing import Any

from wardround_client import tasks
from wardround_client.tasks.contract import LocalTask
from wardround_common.installed import installed
from wardround_common.tasks.contract import TaskSection

LOCAL_TASKS: dict[str, LocalTask[Any, Any]] = {
    local.task.name: local for local in installed(tasks, "TASK", LocalTask, besides=__name__)
}


def local_task(section: TaskSection) -> LocalTask[Any, Any]:
    """Return the hospital's part of the task of a study's section."""
    return LOCAL_TASKS[section.name]
