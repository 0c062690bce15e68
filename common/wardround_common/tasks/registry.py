"""The tasks that are installed: each module of this package with a value ``TASK`` is one."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from wardround_common import tasks
from wardround_common.installed import installed
from wardround_common.registry import Registry, loads
from wardround_common.tasks.contract import Task, TaskSection

INSTALLED = loads((task.name, task) for task in installed(tasks, "TASK", Task, besides=__name__))
TASKS: Registry[Task[Any, Any]] = Registry("task", lambda: INSTALLED)


def task_of(section: TaskSection) -> Task[Any, Any]:
    """Return the task of a study's section."""
    return TASKS[section.name]


def task_section(given: object) -> TaskSection:
    """Read ``[task]`` as the section of the task that its ``name`` says.

    Raises:
        pydantic.ValidationError: it is no table, names no task that is installed, or a key of it is wrong.
    """
    if isinstance(given, TaskSection):
        return given
    if not isinstance(given, dict):
        raise _fault(InitErrorDetails(type="dict_type", loc=(), input=given))
    if "name" not in given:
        raise _fault(InitErrorDetails(type="missing", loc=("name",), input=given))
    name = given["name"]
    if not isinstance(name, str) or name not in TASKS:
        expected = {"expected": TASKS.choices()}
        raise _fault(InitErrorDetails(type="literal_error", loc=("name",), input=name, ctx=expected))
    section: TaskSection = TASKS[name].section.model_validate(given)
    return section


def _fault(details: InitErrorDetails) -> ValidationError:
    return ValidationError.from_exception_data("task", [details])
