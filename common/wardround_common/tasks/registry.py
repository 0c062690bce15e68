"""The tasks that are installed: each module of this package with a value ``TASK`` is one."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from wardround_common import tasks
from wardround_common.errors import PluginError
from wardround_common.installed import installed
from wardround_common.kinds import kind_of
from wardround_common.plugins.names import is_plugin, package_of, part_of
from wardround_common.registry import Registry, loads
from wardround_common.tasks.contract import Task, TaskSection

INSTALLED = loads((task.name, task) for task in installed(tasks, "TASK", Task, besides=__name__))
TASKS: Registry[Task[Any, Any]] = Registry("task", lambda: INSTALLED)


def task_of(section: TaskSection) -> Task[Any, Any]:
    """Return the task of a study's section."""
    return TASKS[section.name]


def check_of_plugin(name: str) -> None:
    """Check that the plug-in that has a task declares one by this name.

    Raises:
        PluginError: it does not.
    """
    found: object = TASKS[name]
    where, said = f"plug-in {package_of(name)}", f"its task {part_of(name)!r}"
    if not isinstance(found, Task):
        raise PluginError(f"{said} is no Task but {kind_of(found)}", where=where)
    if found.name != name:
        do = f"Write name='{name}' in Task, and Literal['{name}'] in its section."
        raise PluginError(f"{said} calls itself {found.name!r}", where=where, do=do)


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
    if isinstance(name, str) and is_plugin(name) and name not in TASKS:
        package = package_of(name)
        raise ValueError(
            f"[task] name = '{name}': no [[plugin]] pins the package {package}; add it: wardround study plugin "
            f"{package} >> FILE"
        )
    if not isinstance(name, str) or name not in TASKS:
        expected = {"expected": TASKS.choices()}
        raise _fault(InitErrorDetails(type="literal_error", loc=("name",), input=name, ctx=expected))
    section: TaskSection = TASKS[name].section.model_validate(given)
    return section


def _fault(details: InitErrorDetails) -> ValidationError:
    return ValidationError.from_exception_data("task", [details])
