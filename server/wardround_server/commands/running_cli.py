"""``wardround coordinator`` run, resume, stop, archive, remove and export: its runs. Imports wait for a command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from wardround_common.counting import count
from wardround_common.shell.command_options import CardWordsFile, PublicRelease, StudyFile
from wardround_common.shell.commands import confirm
from wardround_server.commands.options import Folder, Run, utc_now


def run(
    folder: Folder,
    study: StudyFile,
    least: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Start once this many hospitals have approved; by default the whole roster.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Folder of the released model that the study starts from; kept here for other runs.",
            show_default=False,
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return immediately; the run continues in the service.")
    ] = False,
) -> None:
    """Run a study: propose it to its hospitals, wait for their approvals, train.

    Exits with code 0 if every hospital was in every round, and 6 if the run failed or was stopped, or a hospital was
    missing.
    """
    from wardround_common.study.file import read_study
    from wardround_server.service.commanding import commanding

    parsed = read_study(study)
    name = parsed.study.name
    content = None
    if start is not None:
        from wardround_common.results.released import check_start, read_released

        content = check_start(parsed, read_released(start), where=str(start))
    with commanding(folder) as coordinator:
        if content is not None and parsed.model.start:
            from wardround_server.service.runs import keep_start

            keep_start(folder, parsed.model.start, content)
        coordinator.run(study.read_text(encoding="utf-8-sig"), str(study), least)
    if detach:
        typer.echo(f"Started {name}. See: wardround coordinator status {shlex.quote(str(folder))}")
    else:
        _follow(folder, name)


def resume(
    folder: Folder,
    run: Run,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up",
            help="Skip a round of secure sums that can no longer be summed; its privacy cost still counts.",
        ),
    ] = False,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="Train no more: the test patients judge the model of the last completed round, and the run ends.",
        ),
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return immediately; the run continues in the service.")
    ] = False,
) -> None:
    """Resume a run that failed or was stopped, from its last completed round."""
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        coordinator.resume(run, give_up=give_up, finish=finish)
    if not detach:
        _follow(folder, run)


def stop(folder: Folder, run: Run) -> None:
    """Stop a run after its current round; completed rounds are kept."""
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        coordinator.stop(run)
    typer.echo(
        f"{run} stops after its current round. Resume with: "
        f"wardround coordinator resume {shlex.quote(str(folder))} {run}"
    )


def archive(folder: Folder, run: Run) -> None:
    """Archive a run that has ended: set its folder aside, free its name and hide it from 'status'."""
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        place = coordinator.archive(run)
    typer.echo(f"Archived {run} in {place}. Its name is free for another study.")


def remove(
    folder: Folder,
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Permanently delete a run that has ended, with its model and its report."""
    from wardround_server.service.commanding import commanding

    if not yes:
        confirm(
            f"Delete the run {run} with its model and its report?",
            "Not removed: nothing was changed. To keep it elsewhere: "
            f"wardround coordinator archive {shlex.quote(str(folder))} {run}",
        )
    with commanding(folder) as coordinator:
        coordinator.remove(run)
    typer.echo(f"Removed {run}. Its name is free for another study.")


def export(
    folder: Folder,
    run: Run,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write to; by default ./RUN.", show_default=False)
    ] = None,
    statement: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Epsilon statement from a hospital, to check, keep and export; repeatable.",
            show_default=False,
        ),
    ] = None,
    words: CardWordsFile = None,
    public: PublicRelease = False,
) -> None:
    """Export a finished run as a release: model, card, study, approvals, epsilon statements, signed by the coordinator.

    MONAI bundle and ONNX are written too where wardround[client,export] is installed.
    """
    from wardround_common.shell.release_forms import forms, said_of_release
    from wardround_server.report.card_words import read_words
    from wardround_server.rounds.exported_model import Release
    from wardround_server.service.coordinator_audit import note_export
    from wardround_server.service.export import check_over, early_statements, export_run
    from wardround_server.service.runs import ARCHIVE, no_such_run
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    identity = place.identity()  # a folder that is nobody's is said to be that
    runs = {path.name: path for kept in (ARCHIVE, "runs") for path in (folder / kept).glob("[!.]*")}
    if run not in runs:
        raise no_such_run(run, runs)
    source, target = runs[run], out or Path(run)
    check_over(source)
    release = Release(read_words(words) if words else None, identity, "coordinator", forms(), public=public)
    note_export(place, run, source / "model.safetensors")
    copied = export_run(source, target, statement or (), release)
    typer.echo(f"Copied {', '.join(copied[:-1])} and {copied[-1]} to {target}")
    typer.echo(said_of_release(target))
    for hospital, (stated, answered) in early_statements(source).items():
        typer.echo(
            f"The statement of {hospital} is of {count(stated, 'round')}, and it answered in {answered}: its epsilon "
            "is too small. Ask for a new one, and export again with it.",
            err=True,
        )


FOLLOW_S = 0.5
"""Between two looks at a service."""


def _follow(folder: Path, name: str) -> None:
    """Say what changes in a run until it is over; Ctrl-C stops the saying, not the run."""
    from wardround_common.errors import RoundError
    from wardround_server.service.commanding import commanding
    from wardround_server.service.status_words import line
    from wardround_server.state.standings import OVER

    said = ""
    with commanding(folder) as coordinator:
        for status in coordinator.watch(FOLLOW_S):
            (run,) = (one for one in status.runs if one.name == name)
            if (now := line(run.model_dump(mode="json"))) != said:
                _log(said := now)
            if run.stage in OVER:
                break
    if run.stage != "done":
        raise RoundError(f"the run is {run.stage}: {run.said}")


def _log(text: str) -> None:
    typer.echo(f"{utc_now():%Y-%m-%d %H:%M:%S} {text}")
