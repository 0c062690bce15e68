"""``wardround study``: write a study file, check it, and explain in plain words what it will do."""

from __future__ import annotations

import json
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_common.errors import PrivacyError, StorageError, StudyError
from wardround_common.shell.command_options import AsJson, ModelPath, StudyFile
from wardround_common.shell.commands import Commands

if TYPE_CHECKING:  # what a command needs is imported when it runs: help appears immediately
    from wardround_common.study.file import Study

WIDEST = 110
REHEARSALS = "wardround.rehearsals"
"""The group of entry points that try a study: each is a function from a study to a sentence, and raises our errors."""

app = Commands("Write a study file, check it, and explain in plain words what it will do.")


@app.command()
def new(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of the study: lower-case letters, digits and hyphens.", show_default=False
        ),
    ],
    dp: Annotated[bool, typer.Option("--dp/--no-dp", help="Train with differential privacy, or without.")] = True,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="Split the noise among the hospitals, under secure sums.")
    ] = False,
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Task of the model: classification, detection, findings, generation, grades, measurement, risk or "
            "segmentation.",
        ),
    ] = "classification",
    dims: Annotated[
        int | None,
        typer.Option(metavar="N", help="Dimensions of segmentation: 2 for slices, 3 for volumes.", show_default=False),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Classes to tell apart or structures, in this order.", show_default=False),
    ] = None,
    modalities: Annotated[
        str | None,
        typer.Option(metavar="CR,DX", help="Modalities to train on, as DICOM names them.", show_default=False),
    ] = None,
    hospitals: Annotated[
        int | None, typer.Option(metavar="N", help="Smallest number of hospitals in a round.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the study here instead of NAME.toml.", show_default=False),
    ] = None,
) -> None:
    """Write a commented study file with the usual settings."""
    from wardround_common.plugins.names import is_plugin, package_of
    from wardround_common.study.new import left_as_examples, new_study
    from wardround_common.study.plugins import let_task_in, plugin_here
    from wardround_common.tasks.registry import TASKS

    if distributed and not dp:
        raise typer.BadParameter("noise that is shared out is differential privacy: leave out --no-dp or --distributed")
    pinned = ""
    if is_plugin(task):
        plugin = plugin_here(package_of(task))
        let_task_in({"task": {"name": task}, "plugin": [plugin]})
        pinned = f"\n{plugin.toml()}"
    if task not in TASKS:
        raise typer.BadParameter(f"there is no task {task!r}: write {TASKS.choices()}", param_hint="'--task'")
    if dims is not None and "dims" not in TASKS[task].section.model_fields:
        raise typer.BadParameter(f"the task {task!r} is on single images: leave it out", param_hint="'--dims'")
    path = out or Path(f"{name}.toml")
    own: dict[str, dict[str, object]] = {}
    if classes is not None and "classes" not in TASKS[task].section.model_fields:
        raise typer.BadParameter(f"the task {task!r} has no classes: leave it out", param_hint="'--classes'")
    for section, key, value in (
        ("task", "classes", classes and classes.split(",")),
        ("task", "dims", dims),
        ("data", "modalities", modalities and modalities.split(",")),
        ("aggregation", "min_hospitals", hospitals),
    ):
        if value is not None:
            own.setdefault(section, {})[key] = value
    text = new_study(name, task=task, dp=dp, distributed=distributed, own=own, more=pinned)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StorageError("this file already exists", where=str(path), do="Choose another name.") from None
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        raise StorageError(f"the study file cannot be written: {reason}", where=str(path)) from None
    unset = " and ".join(left_as_examples(text, [key for keys in own.values() for key in keys]))
    typer.echo(
        f"Wrote {path}\n{f'Set its {unset}, then run' if unset else 'Run'}: "
        f"wardround study show {shlex.quote(str(path))}"
    )


@app.command()
def steps(
    package: Annotated[
        str | None,
        typer.Argument(
            metavar="[PACKAGE]",
            help="Name of an installed plug-in; lists its steps, for which its code is run.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the steps of preparation that a study can name in [data] steps, as it states them."""
    from wardround_common.plugins.files import installed_plugins
    from wardround_common.study.plugins import steps_here
    from wardround_common.study.steps import STEPS, example_of

    of_plugin = {} if package is None else steps_here(package)
    for name, step in of_plugin.items() if package is not None else STEPS.items():
        typer.echo(example_of(name))
        for line in textwrap.wrap(step.said({one.name: one.name.upper() for one in step.settings}), WIDEST - 4):
            typer.echo(f"    {line}")
        for one in step.settings:
            typer.echo(f"    {one.name}: {one.said()}")
    if package is not None:
        return
    if not STEPS.names:
        typer.echo("None is installed here: steps come with the hospital's package.")
    for plugin, parts in installed_plugins().items():
        names = [part.removeprefix("step ") for part in parts if part.startswith("step ")]
        if names:
            typer.echo(f"Of the plug-in {plugin}: {', '.join(names)}; more: wardround study steps {plugin}")


@app.command()
def check(
    file: StudyFile,
    as_json: AsJson = False,
) -> None:
    """Check a study file: print its digest, or list every fault.

    If the hospital's package is installed, also trains the network for one step on noise.
    """
    from wardround_common.study.file import read_study

    try:
        study = read_study(file)
        _check_noise(study)
        rehearsed = _rehearse(study)
    except (StudyError, PrivacyError) as error:
        if not as_json:
            raise
        faults = list(error.faults) if isinstance(error, StudyError) else [error.what]
        _echo_json({"valid": False, "digest": None, "faults": faults})
        raise typer.Exit(error.exit_code) from None
    if as_json:
        _echo_json({"valid": True, "digest": study.digest(), "faults": [], "rehearsed": rehearsed})
    else:
        said = "".join(f"\n{part}: {what}" for part, what in rehearsed.items())
        typer.echo(f"{file} is a valid study.\ndigest {study.digest()}{said}")


def _check_noise(study: Study) -> None:
    """Check that some noise keeps to the epsilon that a study states for those on whom its model is judged.

    Raises:
        PrivacyError: none does.
    """
    if study.noised:
        from wardround_common.privacy.noisy_evaluation import SPLITS, deviation

        for split in SPLITS:
            deviation(study, split)


def _rehearse(study: Study) -> dict[str, str]:
    """Let the installed packages try what a study file alone does not show, and say what each tried.

    Raises:
        StudyError, PrivacyError: what was tried does not work.
    """
    from importlib.metadata import entry_points

    from wardround_common.shell.cli import lacking

    tried = {
        point.name: f"not tried here: {missing}" if (missing := lacking(point)) else point.load()(study)
        for point in entry_points(group=REHEARSALS)
    }
    return {part: what for part, what in tried.items() if what}  # some have nothing to try of this study


@app.command()
def show(
    file: StudyFile,
    as_json: AsJson = False,
) -> None:
    """Explain in plain words what a study does, what leaves a hospital, and what it costs."""
    from wardround_common.study.file import read_study
    from wardround_common.study.words.describe import describe

    study = read_study(file)
    if as_json:
        words = {passage.heading: list(passage.sentences) for passage in describe(study)}
        _echo_json({"digest": study.digest(), "study": study.model_dump(mode="json"), "words": words})
    else:
        _print_words(study)


def _print_words(study: Study) -> None:
    from rich.console import Console
    from rich.text import Text

    from wardround_common.study.words.describe import describe

    console = Console(highlight=False, markup=False)
    width = min(console.width, WIDEST)
    console.print(Text(study.study.name, style="bold"))
    console.print(f"digest {study.digest()}", soft_wrap=True)
    for passage in describe(study):
        console.print()
        console.print(Text(passage.heading, style="bold"))
        for sentence in passage.sentences:
            console.print(textwrap.fill(sentence, width, initial_indent="  · ", subsequent_indent="    "))


@app.command()
def start(model: ModelPath) -> None:
    """Print the [model.start] tables with which a study starts from a released model."""
    from wardround_common.results.released import read_released, start_toml

    typer.echo(start_toml(read_released(model).start), nl=False)


@app.command()
def bundle(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of a MONAI bundle, with configs/.", show_default=False)
    ],
    config: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="File in configs/ that defines the network; by default inference.json or train.json.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the [model.bundle] table by which a study has a bundle's network; nothing of the bundle is run."""
    from wardround_common.study.bundle import read_bundle

    found = read_bundle(folder, config)
    typer.echo(f'# below [model]: network = "{found.network}"\n{found.toml()}', nl=False)
    typer.echo(f'Write below [model]: network = "{found.network}"', err=True)


@app.command()
def plugin(
    package: Annotated[
        str | None,
        typer.Argument(
            metavar="[PACKAGE]", help="Name of the installed package; without it, lists them.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the [[plugin]] table that pins an installed package, for a study that names its parts."""
    from wardround_common.plugins.files import installed_plugins
    from wardround_common.study.plugins import plugin_here

    if package is not None:
        typer.echo(plugin_here(package).toml(), nl=False)
        return
    found = installed_plugins()
    for name, parts in found.items():
        typer.echo(f"{name}: {', '.join(parts)}")
    if not found:
        typer.echo("No plug-in is installed here (docs/plugins.md).")


def _echo_json(value: dict[str, object]) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
