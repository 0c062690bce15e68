"""``wardround hospital`` studies, approve, refuse, close and own: its studies. Imports wait for a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_client.commands.completing import studies as studies_here
from wardround_common.shell.command_options import AsJson
from wardround_common.shell.commands import confirm, in_its_folder, say

if TYPE_CHECKING:  # what a command needs is imported when it runs: help appears immediately
    from wardround_common.study.file import Study


def studies(state: State = None, as_json: AsJson = False) -> None:
    """List the studies proposed to this hospital, and what was decided."""
    from wardround_client.state.approvals import Approvals
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.run_outcomes import outcomes
    from wardround_client.state.state_folder import hospital_state

    place = HospitalFolder(state or hospital_state())
    place.check_set_up()
    folder = place.path
    approvals = Approvals(folder / "studies")
    found, ended = approvals.all(), outcomes(folder)
    for error in approvals.damaged().values():
        say(f"Warning: {error}", err=True)
    if as_json:
        rows = [
            {"name": p.study.study.name, "digest": p.study.digest(), "decision": p.decision, "since": str(p.since)}
            for p in found
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for p in found:
        digest = p.study.digest()
        over = f"  ({ended[digest]})" if digest in ended else ""
        typer.echo(f"{digest[:12]}  {p.decision:<8}  {p.since:%Y-%m-%d %H:%M}  {p.study.study.name}{over}")
    if not found:
        typer.echo("No study has been proposed to this hospital yet.")


StudyWord = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Study name, or the first digits of its digest.",
        show_default=False,
        autocompletion=studies_here,
    ),
]


def approve(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]",
            help="Study name, or the first digits of its digest; by default the only one that waits.",
            show_default=False,
            autocompletion=studies_here,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Folder of the released model that the study starts from, to check it against the study.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of weights that the study's network begins with; it is kept in the state folder.",
            show_default=False,
        ),
    ] = None,
    state: State = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the study has already been read.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what there is to read as JSON, and end before anything is approved.")
    ] = False,
    as_read: Annotated[
        str | None,
        typer.Option(
            metavar="READ",
            help="Do not ask: approve if what there is to read is still that whose 'read' --json gave.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Approve a study, after reading in plain words what it does, who takes part and what it costs."""
    from rich.console import Console

    from wardround_client.hospital.hospital_audit import note_against_policy, note_approval
    from wardround_client.service.explaining import explain
    from wardround_client.service.ward import plan
    from wardround_client.state.approvals import WAITS, Approvals
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.run_outcomes import outcomes
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import PolicyError
    from wardround_common.study.words.describe import describe

    folder = HospitalFolder(state or hospital_state())
    approvals = Approvals(folder.path / "studies")
    if as_json and (yes or as_read):
        raise typer.BadParameter("it approves nothing", param_hint="--json")
    if study is None and (yes or as_read):
        raise typer.BadParameter("name the study that was read already", param_hint="STUDY")
    folder.check_set_up()
    over = outcomes(folder.path)
    proposal = approvals.waiting(over) if study is None else approvals.find(study, WAITS, over)
    proposed = proposal.study
    checked = _check_start(proposed, start)
    if weights is not None:
        from wardround_client.state.weights_files import keep_weights

        checked = " ".join(filter(None, [keep_weights(folder.path, proposed, weights), checked]))
    console = Console(highlight=False, markup=False, quiet=as_json)
    console.print(f"{proposed.study.name}\ndigest {proposed.digest()}", soft_wrap=True)
    for passage in describe(proposed):
        console.print(f"\n{passage.heading}")
        for sentence in passage.sentences:
            console.print(f"  · {sentence}")
    try:
        with console.status("reading this hospital's images"):
            planned = plan(folder, proposed)
    except PolicyError:
        if proposal.decision == "waiting":
            note_against_policy(folder, proposed)
            approvals.decide(proposed, "against-policy")
            console.print("\nThe coordinator is told that this hospital's policy does not allow the study, not why.")
        raise
    explained = explain(planned, checked)
    if as_json:
        typer.echo(json.dumps(explained.data(), indent=2, ensure_ascii=False))
        return
    console.print()
    for sentence in explained.brings:
        console.print(sentence)
    for warning in explained.warnings:
        console.print(f"Warning: {warning}", style="yellow")
    for sentence in (*explained.intake, *explained.uses, *filter(None, [explained.start])):
        console.print(in_its_folder(sentence))
    if as_read:
        explained.check_read(as_read)
    elif not yes:
        confirm("Approve exactly this?", "Not approved: nothing was changed, and the study is still waiting.")
    planned.approve()
    note_approval(folder, proposed, approvals.deciding(proposed, "approved"), planned.facts())
    console.print("Approved. The service tells the coordinator when it is next asked.")


def _check_start(study: Study, folder: Path | None) -> str:
    """Check a model's folder against the study that starts from it; return a sentence for the hospital's people.

    Raises:
        StudyError: it is of another model, or the study starts from none or does not fit it.
    """
    if folder is not None:
        from wardround_common.results.released import check_start, read_released

        check_start(study, read_released(folder), where=str(folder))
        return "The model in that folder is the one that the study starts from, and fits it."
    if study.model.start is None:
        return ""
    return (
        "The model that it starts from was not looked at here: its digest is approved with the study. To check its "
        f"folder against the study: wardround hospital approve {study.study.name} --start MODEL"
    )


def refuse(study: StudyWord, state: State = None) -> None:
    """Refuse a study, or withdraw an approval: the study gets no further answers and releases its unspent budget."""
    from wardround_client.hospital.hospital_audit import note_refusal
    from wardround_client.hospital.leaving import release
    from wardround_client.state.approvals import Approvals
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    folder.check_set_up()
    approvals = Approvals(folder.path / "studies")
    proposal = approvals.find(study, ("waiting", "against-policy", "approved"))
    meant = proposal.study
    note_refusal(folder, meant, proposal.decision == "approved", approvals.deciding(meant, "refused"))
    freed = " Its reserved budget is released." if release(folder, meant.digest()) else ""
    typer.echo(f"Refused {meant.study.name} {meant.digest()[:12]}. What it has spent still counts.{freed}")


def close(
    study: StudyWord,
    state: State = None,
) -> None:
    """Leave a study and release its unspent budget."""
    from wardround_client.hospital.leaving import find_open, leave
    from wardround_client.spending.ledger.store import existing_ledger
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    ledger = existing_ledger(folder.path, folder.identity())
    digest = find_open(ledger.books, study)
    name = leave(folder, ledger, digest)
    typer.echo(f"Closed {name} {digest[:12]}. What it has spent still counts; its reserved budget is released.")


def own(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Model's folder that the coordinator sent.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder to write to.", show_default=False)],
    state: State = None,
) -> None:
    """Write this hospital's own model: the shared one with the part that stayed here ([training] personal)."""
    from functools import partial

    from wardround_client.hospital.hospital_audit import note_own_model
    from wardround_client.prediction.own_model import write_own_model
    from wardround_client.site_shift.kept import NAME
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.results.model_folder import read_model_folder

    folder, digest = HospitalFolder(state or hospital_state()), read_model_folder(model).study.digest()
    made = write_own_model(model, folder.path / "studies" / digest / NAME, out, partial(note_own_model, folder))
    typer.echo(f"Wrote this hospital's own model, with its part as of round {made.round}, to {made.folder}")
    typer.echo(f"{made.said} Keep the folder at the hospital: nobody has approved that it leaves.")
