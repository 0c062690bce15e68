"""``wardround hospital``: the commands for a hospital's staff. Imports are deferred until a command runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_client.commands import audit_cli, gallery_cli, ledger_cli, policy_cli
from wardround_client.commands.audit_cli import State
from wardround_client.commands.completing import studies as studies_here
from wardround_client.commands.format_option import Formats
from wardround_common.shell.command_options import (
    Allow,
    AsJson,
    Compared,
    ConfirmPatients,
    LabelAttribute,
    Labels,
    LogJson,
    MetricsPort,
    PagePort,
    PageReadOnly,
    ShowPages,
)
from wardround_common.shell.commands import Commands, confirm
from wardround_common.shell.imports import at_once

if TYPE_CHECKING:  # what a command needs is imported when it runs: help appears immediately
    from wardround_common.study.file import Study

WATCH_S = 1.0  # between two looks at a service
app = Commands("Run a hospital: connect to a coordinator, decide on studies, track the privacy budget.")
app.add_typer(policy_cli.app, name="policy")
app.add_typer(ledger_cli.app, name="ledger")
app.add_typer(audit_cli.app, name="audit")


@app.command()
def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the hospital, as others will see it.", show_default=False)
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder that holds the images.", show_default=False)],
    labels: Labels = None,
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the request here instead of NAME.request.", show_default=False),
    ] = None,
    new_node_key: Annotated[
        bool, typer.Option("--new-node-key", help="Replace the connection's key; the identity stays the same.")
    ] = False,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Replace both keys: every study will treat this as a different hospital.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set up this hospital: create its keys, which stay here, and write a request to the coordinator."""
    from contextlib import nullcontext
    from datetime import UTC, datetime
    from functools import partial

    from wardround_client.hospital.hospital_audit import note_request
    from wardround_client.hospital.hospital_source import check_switches
    from wardround_client.hospital.joining import begin, replace_keys
    from wardround_client.spending.ledger.store import LEDGER_NAME
    from wardround_client.spending.policy import POLICY_NAME, policy_text
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.documents.enrolment import file_stem
    from wardround_common.documents.given_out import give_out
    from wardround_common.folder_owner import check_owner
    from wardround_common.storage import alone_in, write_atomically

    folder = HospitalFolder(state or hospital_state())
    now = datetime.now(UTC)
    if labels is not None and label_attribute is not None:
        raise typer.BadParameter("labels come from a table or from an attribute", param_hint="--label-attribute")
    check_switches(allow or (), label_attribute, confirm_patients or ())
    given = {
        "label_attribute": label_attribute,
        "allow": allow,
        "confirm_patients": confirm_patients,
        "formats": formats,
    }
    switches = {key: value for key, value in given.items() if value}
    check_owner(folder.path, "hospital")
    replaces = new_node_key or new_keys
    before = folder.request() if folder.request_file.exists() and replaces else None
    # A service that runs holds the old keys, and would take the new audit log for one that somebody cut short.
    with alone_in(folder.path) if replaces else nullcontext():
        if replaces:
            replace_keys(folder, now, identity=new_keys)
        request, new = begin(folder, name, data, labels, now, switches, partial(note_request, folder))
    if not (folder.path / POLICY_NAME).exists():
        write_atomically(folder.path / POLICY_NAME, policy_text().encode(), private=True)
    written = out or Path(f"{file_stem(request.hospital)}.request")
    over = " over the earlier request" if give_out(written, request, replaces=before) else ""
    if as_json:
        answer = {"hospital": request.hospital, "fingerprint": request.fingerprint, "request": str(written), "new": new}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{'Set up' if new else 'This is'} {request.hospital}; its private keys stay in {folder.path}.\n\n"
        f"fingerprint  {request.fingerprint}\n\n"
        f"Wrote {written}{over}: send it to the coordinator, and read this fingerprint to them by telephone.\n"
        f"Read {folder.path / POLICY_NAME}, and change what does not suit this hospital.\n"
        f"{'' if label_attribute else _labels_missing(data, labels)}"
        f"{_REBUILD if new_keys and (folder.path / LEDGER_NAME).exists() else ''}"
        "Once you have the invitation, run: wardround hospital serve INVITATION"
    )


_REBUILD = (
    "The ledger of what patients have spent is signed with the old keys. Before you start the service, so that studies "
    "can be trained, run: wardround hospital ledger rebuild\n"
)


def _labels_missing(data: Path, labels: Path | None) -> str:
    """Say where labels may come from, if no table of them was named and none lies where one is looked for."""
    from wardround_client.intake.labels import BOXES_FILE, LABELS_FILE

    if labels is not None or any((data / name).is_file() for name in (LABELS_FILE, BOXES_FILE)):
        return ""
    return (
        f"There is no {LABELS_FILE} or {BOXES_FILE} in {data}: put one there or name a "
        "table in hospital.toml (labels = ...), unless "
        "sub-folders are named after a study's classes.\n"
    )


@app.command()
def identity(state: State = None, as_json: AsJson = False) -> None:
    """Show this hospital's name and fingerprint, and its entry in a study's roster."""
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.study.roster import Listed

    folder = HospitalFolder(state or hospital_state())
    listed = Listed.of(folder.settings().name, folder.identity().public)
    if as_json:
        typer.echo(json.dumps(listed.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{listed.name}; its private keys stay in {folder.path}.\n\n"
        f"fingerprint  {listed.fingerprint}\n\n"
        "The coordinator prints this entry for the study file once the hospital is enrolled:\n\n"
        f"{listed.toml()}"
    )


def _accept(state: Path | None, invitation: Path, yes: bool) -> str:
    """Check an invitation, let its fingerprint be compared if it is new, store it; return the coordinator's address."""
    from functools import partial

    from wardround_client.hospital.hospital_audit import note_invitation
    from wardround_client.hospital.joining import accept, examine
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    found = examine(folder, invitation)
    if found.new and not yes:
        typer.echo(f"The coordinator at {found.invitation.address}\nfingerprint  {found.invitation.fingerprint}")
        confirm(
            "Does the coordinator read this exact fingerprint to you by telephone?",
            "Not accepted: nothing was changed. If the fingerprints differ, somebody may be impersonating the "
            "coordinator: tell its people.",
        )
    return accept(folder, invitation, keep=partial(note_invitation, folder)).invitation.address


@app.command("accept")
def accept_invitation(
    invitation: Annotated[
        Path, typer.Argument(metavar="INVITATION", help="File that the coordinator sent.", show_default=False)
    ],
    state: State = None,
    yes: Compared = False,
) -> None:
    """Accept a coordinator's invitation without serving yet; from now on this hospital uses that coordinator."""
    address = _accept(state, invitation, yes)
    typer.echo(f"Accepted: this hospital uses the coordinator at {address}. Start with: wardround hospital serve")


@app.command()
def serve(
    invitation: Annotated[
        Path | None,
        typer.Argument(metavar="[INVITATION]", help="File that the coordinator sent; needed once.", show_default=False),
    ] = None,
    state: State = None,
    yes: Compared = False,
    log_json: LogJson = False,
    metrics: MetricsPort = None,
    page: ShowPages = False,
    page_port: PagePort = 0,
    page_read_only: PageReadOnly = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM: makes outbound connections only, and runs nothing that was not approved."""
    if page_port and not (page or page_read_only):
        raise typer.BadParameter("it needs --page", param_hint="--page-port")
    import signal
    import threading

    with at_once():
        from wardround_client.service.hospital_service import HospitalService, open_log
        from wardround_client.state.hospital_folder import HospitalFolder
        from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    if invitation is not None:
        _accept(state, invitation, yes)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    log = open_log(folder, as_json=log_json)
    with log.hearing():
        if page or page_read_only:
            from wardround_client.page.serving import serve_with_pages

            serve_with_pages(folder, log.say, stop, metrics, page_port, page_read_only)
        else:
            HospitalService(folder, log.say).serve(stop, metrics)
        log.say("stopped; approvals are kept", event="stopped")


@app.command()
def page(state: State = None) -> None:
    """Print an address of the service's pages, good for one browser, once, and for a quarter of an hour."""
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.control import HOSPITAL
    from wardround_common.pages.invite import address_of

    typer.echo(address_of(state or hospital_state(), HOSPITAL))


@app.command()
def studies(state: State = None, as_json: AsJson = False) -> None:
    """List the studies proposed to this hospital, and what was decided."""
    from wardround_client.state.approvals import Approvals
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.run_outcomes import outcomes
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state()).path
    approvals = Approvals(folder / "studies")
    found, ended = approvals.all(), outcomes(folder)
    for error in approvals.damaged().values():
        typer.echo(f"Warning: {error}", err=True)
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


@app.command()
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
        console.print(sentence)
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
        "folder against the study: wardround hospital approve STUDY --start MODEL"
    )


@app.command()
def refuse(study: StudyWord, state: State = None) -> None:
    """Refuse a study, or withdraw an approval: the study gets no further answers and releases its unspent budget."""
    from wardround_client.hospital.hospital_audit import note_refusal
    from wardround_client.hospital.leaving import release
    from wardround_client.state.approvals import Approvals
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    folder = HospitalFolder(state or hospital_state())
    approvals = Approvals(folder.path / "studies")
    proposal = approvals.find(study, ("waiting", "against-policy", "approved"))
    meant = proposal.study
    note_refusal(folder, meant, proposal.decision == "approved", approvals.deciding(meant, "refused"))
    freed = " Its reserved budget is released." if release(folder, meant.digest()) else ""
    typer.echo(f"Refused {meant.study.name} {meant.digest()[:12]}. What it has spent still counts.{freed}")


@app.command()
def pause(state: State = None) -> None:
    """Start no new work until 'resume'; the service stays connected and finishes what it is doing.

    Takes effect immediately, for a running service and after any restart. Rounds continue without this hospital.
    """
    from wardround_client.hospital.pausing import pause_work
    from wardround_client.service.asking import asking
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import ServiceAwayError

    folder = HospitalFolder(state or hospital_state())
    try:
        with asking(folder.path) as hospital:
            hospital.pause()
    except ServiceAwayError:
        pause_work(folder)
    typer.echo("Paused: no new work is started. Resume with: wardround hospital resume")


@app.command()
def resume(state: State = None) -> None:
    """Resume work after 'pause'."""
    from wardround_client.hospital.pausing import resume_work
    from wardround_client.service.asking import asking
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import ServiceAwayError

    folder = HospitalFolder(state or hospital_state())
    try:
        with asking(folder.path) as hospital:
            hospital.resume()
    except ServiceAwayError:
        resume_work(folder)
    typer.echo("This hospital is active again.")


@app.command()
def status(
    state: State = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every second until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what this hospital's service is doing, and the state of each study."""
    from rich.live import Live
    from rich.text import Text

    from wardround_client.service.asking import asking
    from wardround_client.service.status import stopped_status
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import ServiceAwayError

    folder, found = HospitalFolder(state or hospital_state()), None
    try:
        with asking(folder.path) as hospital:
            found = hospital.status()
            if watch:
                with Live(Text(str(found)), refresh_per_second=2) as live:
                    for found in hospital.watch(WATCH_S):
                        live.update(Text(str(found)))
    except ServiceAwayError:
        if found:  # it has ended while it was watched
            raise
        found = stopped_status(folder)
    typer.echo(json.dumps(found.facts(), indent=2, ensure_ascii=False) if as_json else str(found))


@app.command()
def health(state: State = None) -> None:
    """Check that the service is running and able to work; otherwise say why not, and exit with that error's code."""
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.control import HOSPITAL
    from wardround_common.control.place import is_served
    from wardround_common.errors import LinkError

    folder = state or hospital_state()
    if not is_served(folder):
        from wardround_client.state.hospital_folder import HospitalFolder

        HospitalFolder(folder).settings()  # a folder that is nobody's is said to be that
        raise LinkError("this hospital is stopped and not connected", do="Start it: wardround hospital serve")
    from wardround_common.control.checking import check_health

    check_health(folder, HOSPITAL)
    typer.echo("serving")


@app.command()
def budget(
    state: State = None,
    as_json: AsJson = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Also write the budget as an HTML page.", show_default=False),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(
            metavar="DELTA",
            help="Count epsilon at this delta; by default the policy's, otherwise 1e-5.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what patients have spent, by study, and what open studies reserve. No patient is named."""
    from rich.console import Console

    from wardround_client.commands.budget_screen import page, screen
    from wardround_client.spending.budget import state_budget
    from wardround_client.spending.ledger.store import existing_ledger
    from wardround_client.spending.policy import DEFAULT_DELTA, POLICY_NAME, read_policy
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.identity_file import read_identity
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import PrivacyError
    from wardround_common.storage import write_atomically

    if delta is not None and not 1e-10 <= delta <= 1e-2:
        raise PrivacyError(f"invalid delta {delta:g}: it must be from 1e-10 to 0.01")
    folder = HospitalFolder(state or hospital_state()).path
    ledger = existing_ledger(folder, read_identity(folder))
    rules = read_policy(folder / POLICY_NAME) if (folder / POLICY_NAME).exists() else None
    if delta is None:
        delta = rules.budget.delta if rules else DEFAULT_DELTA
    statement = state_budget(ledger, delta, rules)
    if picture is not None:
        write_atomically(picture, page(statement).encode(), private=True)
    if as_json:
        typer.echo(json.dumps(statement.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    Console().print(screen(statement))
    if picture is not None:
        typer.echo(f"Picture: {picture}")


@app.command()
def statement(
    study: StudyWord,
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the statement here instead of NAME-DIGEST.statement.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a signed statement of the epsilon that a study has cost this hospital's patients. No patient is named.

    Epsilon is counted at the study's own delta; if it has none, at the policy's, otherwise at 1e-5.
    """
    from datetime import UTC, datetime

    from wardround_client.hospital.hospital_audit import note_statement
    from wardround_client.spending.ledger.store import existing_ledger
    from wardround_client.spending.statement import delta_for, find_study, state_epsilon
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.documents.enrolment import file_stem
    from wardround_common.documents.given_out import give_out
    from wardround_common.errors import StorageError
    from wardround_common.storage import cannot_be_written

    folder = HospitalFolder(state or hospital_state())
    ledger = existing_ledger(folder.path, folder.identity())
    digest = find_study(ledger.books, study)
    delta = delta_for(folder, digest)
    made = state_epsilon(ledger, folder.settings().name, digest, delta, datetime.now(UTC))
    written = out or Path(f"{file_stem(made.hospital)}-{digest[:12]}.statement")
    try:
        note_statement(folder, made)
    except StorageError as error:
        if not cannot_be_written(error):  # the hospital's own folder: what cannot be noted is not given out
            raise
        typer.echo("This folder is a copy that cannot be written: its audit log does not record this.", err=True)
    give_out(written, made)
    if as_json:
        answer = made.model_dump(mode="json") | {"fingerprint": made.fingerprint, "statement": str(written)}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    spent = "without bound" if made.epsilon is None else f"at most epsilon {made.epsilon:.3f} (delta {made.delta:g})"
    typer.echo(
        f"{made.hospital} states for {ledger.books.approved[digest].name} {digest[:12]}: {spent}, "
        f"{made.rounds_charged} rounds charged, {made.rounds_confirmed} confirmed.\n\n"
        f"fingerprint  {made.fingerprint}\n\n"
        f"Wrote {written}: the recipient should compare this fingerprint with the roster's, or by telephone."
    )


@app.command()
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


@app.command()
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


app.command("gallery")(gallery_cli.gallery)
app.command("gallery-page", hidden=True)(gallery_cli.gallery_page)
app.command("gallery-image", hidden=True)(gallery_cli.gallery_image)
