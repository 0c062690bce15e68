"""``[[plugin]]``: the packages of others that a study runs, pinned, and how they are let in.

A study's digest covers these tables, so that a hospital that approves the study approves exactly this code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from wardround_common.errors import PluginError
from wardround_common.plugins.files import read_files
from wardround_common.plugins.loading import admit as admit_package
from wardround_common.plugins.names import LONGEST, PACKAGE, RESERVED, VERSION, Named, is_plugin, package_of
from wardround_common.section import Section
from wardround_common.strategies.registry import check_of_plugin
from wardround_common.study.steps import STEPS, Step, step_of
from wardround_common.study.steps import check_of_plugin as check_steps
from wardround_common.tasks.registry import check_of_plugin as check_task
from wardround_common.tasks.registry import task_of

if TYPE_CHECKING:
    from wardround_common.study.file import Study


STEPS_KEY = "data.steps"
"""The key under which a study names steps of preparation, each of which may be a plug-in's."""


class Plugin(Section):
    """One plug-in that a study runs: its package, its version, and the digest of its installed files."""

    package: Annotated[str, Field(pattern=f"^{PACKAGE}$", max_length=LONGEST)]
    version: Annotated[str, Field(pattern=f"^{VERSION}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the files that its installation put there, as ``wardround study plugin`` prints it."""

    @property
    def named(self) -> Named:
        """What has to be installed."""
        return Named(self.package, self.version, self.sha256)

    def toml(self) -> str:
        """Return the entry as written in a study file."""
        return f'[[plugin]]\npackage = "{self.package}"\nversion = "{self.version}"\nsha256 = "{self.sha256}"\n'


def plugin_here(package: str) -> Plugin:
    """Return the entry for a package as it is installed here.

    Raises:
        PluginError: it is not installed, or cannot be pinned.
    """
    found = read_files(package).named
    return Plugin(package=found.package, version=found.version, sha256=found.sha256)


def steps_here(package: str) -> dict[str, Step]:
    """Return the steps of a package as it is installed here, by the names that a study gives them; its code is run.

    Raises:
        PluginError: it is not installed, cannot be pinned, or has no steps.
    """
    files = admit_package(read_files(package).named)
    names = sorted(f"{package}:{name}" for kind, name in files.parts if kind == STEPS.kind)
    if not names:
        raise PluginError("it has no step of preparation", where=f"plug-in {files.named.package} {files.named.version}")
    return {name: step_of(name) for name in names}


def let_task_in(tables: dict[str, Any]) -> None:
    """Let the plug-in run that has the task of a study's tables: to read ``[task]`` needs its code.

    Raises:
        PluginError: something else is installed than the tables name, or it is no task.
    """
    task = tables.get("task")
    name = task.get("name") if isinstance(task, dict) else None
    if not isinstance(name, str) or not is_plugin(name):
        return
    for given in tables.get("plugin") or ():
        with suppress(ValidationError):  # which is told with all other faults
            plugin = given if isinstance(given, Plugin) else Plugin.model_validate(given)
            if plugin.package == package_of(name):
                admit_package(plugin.named)
                check_task(name)


def unfit_plugins(named: Collection[tuple[str, str]], plugins: Collection[Plugin]) -> Iterator[str]:
    """Say which ``[[plugin]]`` is missing, listed twice, or used by nothing; ``named``: each key with what it names."""
    listed = [one.package for one in plugins]
    for key, name in named:
        section, _, last = key.partition(".")
        if is_plugin(name) and package_of(name) not in listed:
            yield (
                f"[{section}] {last} = '{name}': no [[plugin]] pins the package {package_of(name)}; add it: wardround "
                f"study plugin {package_of(name)} >> FILE"
            )
    used = {package_of(name) for _, name in named if is_plugin(name)}
    for package in sorted(set(listed)):
        if listed.count(package) > 1:
            yield f"[[plugin]] package = '{package}': it is listed more than once; list it once"
        elif package in RESERVED:
            yield f"[[plugin]] package = '{package}': no plug-in can be called so"
        elif package not in used:
            yield f"[[plugin]] package = '{package}': no key of the study names a part of it; remove it"


def admit(study: Study, *, network: bool) -> None:
    """Let the study's plug-ins run in this process, if exactly what it names is installed; and check what they declare.

    ``network``: as in :func:`compare`; without it the study's steps of preparation are not looked at either.

    Raises:
        PluginError: something else is installed, or it does not do what its kind does.
    """
    compare(study, network=network)
    if is_plugin(study.training.strategy):
        check_of_plugin(study.training.strategy, dict(study.training.settings))
    if network:
        _check_steps(study)


def admit_steps(study: Study) -> None:
    """Let the plug-ins run that have steps of the study's preparation, and check these: wherever images are prepared.

    Raises:
        PluginError: something else is installed, or it is no step that the study could name so.
    """
    _admit_parts(study, {name for key, name in study.plugin_parts if key == STEPS_KEY})
    _check_steps(study)


def _check_steps(study: Study) -> None:
    data = study.data
    if any(key == STEPS_KEY for key, _ in study.plugin_parts):
        series = task_of(study.task).takes_series(study.task)
        check_steps(data.steps, data.intensity, data.modalities, series=series)


def compare(study: Study, *, network: bool) -> None:
    """Check that what the study names is installed, and let it run here; nothing of it is run yet.

    ``network``: whether the network is built and images are prepared here; a coordinator does neither, and needs no
    package that has only parts for these.

    Raises:
        PluginError: something else is installed.
    """
    elsewhere = ("tracking.sink",) if network else ("tracking.sink", "model.network", STEPS_KEY)
    _admit_parts(study, {name for key, name in study.plugin_parts if key not in elsewhere})


def admit_sink(study: Study) -> None:
    """Let the plug-in run that has the study's sink: where rounds are driven, and at no hospital.

    Raises:
        PluginError: something else is installed.
    """
    _admit_parts(study, {study.tracking.sink} if study.tracking.sink else set())


def _admit_parts(study: Study, names: Collection[str]) -> None:
    needed = {package_of(name) for name in names}
    for plugin in study.plugin:
        if plugin.package in needed:
            admit_package(plugin.named)
