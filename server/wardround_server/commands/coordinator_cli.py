"""``wardround coordinator``: the commands for a coordinator's staff. Imports are deferred until a command runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_common.shell.command_options import (
    AsJson,
    CardWordsFile,
    Compared,
    LogJson,
    MetricsPort,
    PagePort,
    PageReadOnly,
    PublicRelease,
    ShowPages,
    StudyFile,
)
from wardround_common.shell.commands import Commands, confirm
from wardround_server.commands.completing import hospitals as hospitals_here
from wardround_server.commands.completing import runs as runs_here

if TYPE_CHECKING:
    from wardround_common.documents.enrolment import Invitation, Request
    from wardround_server.state.coordinator_folder import CoordinatorFolder, Survey

from wardround_server.commands import audit_cli

app = Commands("Run a coordinator: enrol hospitals, propose studies to them, coordinate the rounds.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's own folder.", show_default=False)]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME_OR_IP",
        help="Name or address at which hospitals reach this machine; repeatable. Invitations use the first.",
        show_default=False,
    ),
]
app.add_typer(audit_cli.app, name="audit")
WATCH_S, FOLLOW_S = 1.0, 0.5  # between two looks at a service


@app.command()
def init(
    folder: Folder,
    host: Hosts = None,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port that hospitals connect to.")] = 9093,
    as_json: AsJson = False,
) -> None:
    """Set up a coordinator: make its folder, its certificate authority, the server's certificate and its identity."""
    from wardround_server.service.enrolment_desk import begin
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    if not host:
        raise typer.BadParameter("name at least one, such as --host fl.example.org", param_hint="'--host'")
    place = CoordinatorFolder(folder)
    begin(place, host, port, _now())
    _show(place, as_json, f"Set up a coordinator in {folder}; its private keys stay there.")
    if not as_json:
        typer.echo(
            "\nHospitals compare this fingerprint by telephone when they get their invitation.\n"
            f"For each request that arrives: wardround coordinator enrol {folder} REQUEST"
        )


@app.command()
def enrol(
    folder: Folder,
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", help="Request file from the hospital.", show_default=False)
    ],
    yes: Compared = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the invitation here instead of NAME.invitation.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a hospital: check its request, compare its fingerprint by telephone, and write its invitation."""
    from wardround_common.documents.enrolment import Request, file_stem
    from wardround_common.documents.given_out import give_out
    from wardround_server.service.enrolment_desk import Standing, standing
    from wardround_server.service.enrolment_desk import enrol as let_in
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    asked = Request.read(request)
    found = standing(place, asked, _now())
    words = {
        Standing.NEW: "asks to be enrolled.",
        Standing.SAME: "is already enrolled with these keys.",
        Standing.NEW_NODE_KEY: "is enrolled and now has a new node key, which its identity vouches for.",
    }
    about = (
        f"hospital     {asked.hospital}\nfingerprint  {asked.fingerprint}\n"
        f"request of   {asked.made:%Y-%m-%d %H:%M} UTC, Wardround {asked.wardround}\n\n{asked.hospital} {words[found]}"
    )
    typer.echo(about, err=as_json)
    if found is not Standing.SAME and not yes:
        confirm(
            "Does the hospital read this exact fingerprint to you by telephone?",
            "Not enrolled: nothing was changed. If the fingerprints differ, this request is not the hospital's.",
            err=as_json,
        )
    invitation = let_in(place, asked, _now())
    written = out or Path(f"{file_stem(asked.hospital)}.invitation")
    give_out(written, invitation)
    _say_enrolled(asked, invitation, written, as_json)


def _say_enrolled(asked: Request, invitation: Invitation, written: Path, as_json: bool) -> None:
    if as_json:
        _echo_json(
            {
                "hospital": asked.hospital,
                "fingerprint": asked.fingerprint,
                "invitation": str(written),
                "address": invitation.address,
                "coordinator": invitation.fingerprint,
            }
        )
        return
    typer.echo(
        f"\nWrote {written}: send it to {asked.hospital}, and read this coordinator's fingerprint to them:\n"
        f"\n    {invitation.fingerprint}\n"
    )


@app.command()
def hospitals(folder: Folder, as_json: AsJson = False) -> None:
    """List the hospitals that may connect, and those that were revoked."""
    from rich.console import Console
    from rich.table import Table

    from wardround_server.state.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    found = place.survey()
    rows: list[tuple[str, str, datetime, datetime | None]] = []
    rows += [(one.name, one.request.fingerprint, one.since, None) for one in found.enrolled]
    rows += [(gone.hospital, gone.fingerprint, gone.enrolled, gone.revoked) for gone in found.revoked]
    _warn_of(found)
    if as_json:
        keys = ("hospital", "fingerprint", "enrolled", "revoked")
        _echo_json([dict(zip(keys, (n, f, e.isoformat(), r and r.isoformat()), strict=True)) for n, f, e, r in rows])
        return
    if not rows:
        typer.echo(f"No hospital is enrolled yet. For each request: wardround coordinator enrol {folder} REQUEST")
        return
    table = Table("hospital", "fingerprint", "enrolled", "revoked", box=None, pad_edge=False)
    for name, mark, since, end in rows:
        table.add_row(name, mark, f"{since:%Y-%m-%d}", f"{end:%Y-%m-%d}" if end else "")
    Console(highlight=False, markup=False).print(table)


@app.command()
def revoke(
    folder: Folder,
    hospital: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the hospital.", show_default=False, autocompletion=hospitals_here),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Permanently revoke a hospital's access; its keys can never be enrolled again."""
    from wardround_server.service.enrolment_desk import find_enrolled
    from wardround_server.service.enrolment_desk import revoke as let_out
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    one = find_enrolled(place, hospital)
    if not yes:
        typer.echo(f"hospital     {one.name}\nfingerprint  {one.request.fingerprint}", err=as_json)
        question = "Revoke it? This cannot be undone: these keys can never be enrolled again."
        confirm(question, "Not revoked: nothing was changed.", err=as_json)
    gone = let_out(place, hospital, _now())
    if as_json:
        _echo_json({"hospital": gone.hospital, "fingerprint": gone.fingerprint, "revoked": gone.revoked.isoformat()})
        return
    typer.echo(
        f"Revoked {gone.hospital}, {gone.fingerprint}. These keys can never be enrolled again; "
        "the hospital can be enrolled with other keys.\nStudies that list this key in their roster stay as they are."
    )


@app.command()
def renew(
    folder: Folder,
    host: Hosts = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", help="Move the server to this port.", show_default=False),
    ] = None,
    new_authority: Annotated[
        bool, typer.Option("--new-authority", help="Replace the authority too; every hospital needs a new invitation.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Renew the server's certificate under the same authority; nothing changes for hospitals.

    Use --host or --port if the server has moved: hospitals then need new invitations, as with --new-authority.
    """
    from wardround_server.service.enrolment_desk import renew as make_new
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    place = CoordinatorFolder(folder)
    invited = make_new(place, host or [], port, _now(), new_authority=new_authority)
    _warn_of(place.survey())
    new = [(one.name, str(place.invitation_of(one.name))) for one in invited]
    _show(place, as_json, "Made a new certificate for the server, with a new key.", new)
    if new and not as_json:
        lines = "\n".join(f"  {name}: {path}" for name, path in new)
        typer.echo(f"\nThese hospitals need their new invitation; send each its own:\n{lines}")


@app.command()
def roster(
    folder: Folder,
    hospitals: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Hospitals to list; by default all enrolled hospitals.",
            autocompletion=hospitals_here,
        ),
    ] = None,
) -> None:
    """Print the [[roster]] entries of these hospitals for a study file."""
    from wardround_server.state.coordinator_folder import CoordinatorFolder
    from wardround_server.state.roster_entries import roster_entries

    found = CoordinatorFolder(folder).survey()
    _warn_of(found)
    enrolled = {one.name: one.request.public for one in found.enrolled}
    typer.echo(roster_entries(enrolled, hospitals or sorted(enrolled)), nl=False)


@app.command()
def serve(
    folder: Folder,
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="Address of this machine to listen on.")] = "0.0.0.0",  # noqa: S104
    log_json: LogJson = False,
    metrics: MetricsPort = None,
    page: ShowPages = False,
    page_port: PagePort = 0,
    page_read_only: PageReadOnly = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM, on one port; interrupted runs continue."""
    if page_port and not (page or page_read_only):
        raise typer.BadParameter("it needs --page", param_hint="--page-port")
    import signal
    import threading
    from contextlib import ExitStack

    from wardround_common.shell.service_log import ServiceLog
    from wardround_server.service.memory import give_large_buffers_back
    from wardround_server.service.serving import Service
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    give_large_buffers_back()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log = ServiceLog(as_json=log_json)
    place = CoordinatorFolder(folder)
    with log.hearing(), ExitStack() as ending:
        invite = None
        if page or page_read_only:
            from wardround_server.page.coordinator_page import coordinator_pages

            shown = coordinator_pages(place, page_port, log.say, read_only=page_read_only)
            invite = ending.enter_context(shown).invite
        Service(place, log.say, invite).serve(stop, bind, metrics)
        log.say("stopped; completed rounds are kept", event="stopped")


@app.command()
def page(folder: Folder) -> None:
    """Print an address of the service's pages, good for one browser, once, and for a quarter of an hour."""
    from wardround_common.control import COORDINATOR
    from wardround_common.pages.invite import address_of

    typer.echo(address_of(folder, COORDINATOR))


def _log(text: str) -> None:
    typer.echo(f"{_now():%Y-%m-%d %H:%M:%S} {text}")


Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Name of the run; same as the name of its study.",
        show_default=False,
        autocompletion=runs_here,
    ),
]


@app.command()
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
        typer.echo(f"Started {name}. See: wardround coordinator status {folder}")
    else:
        _follow(folder, name)


@app.command()
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
    detach: Annotated[
        bool, typer.Option("--detach", help="Return immediately; the run continues in the service.")
    ] = False,
) -> None:
    """Resume a run that failed or was stopped, from its last completed round."""
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        coordinator.resume(run, give_up=give_up)
    if not detach:
        _follow(folder, run)


@app.command()
def stop(folder: Folder, run: Run) -> None:
    """Stop a run after its current round; completed rounds are kept."""
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        coordinator.stop(run)
    typer.echo(f"{run} stops after its current round. Resume with: wardround coordinator resume {folder} {run}")


@app.command()
def archive(folder: Folder, run: Run) -> None:
    """Archive a run that has ended: set its folder aside, free its name and hide it from 'status'."""
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        place = coordinator.archive(run)
    typer.echo(f"Archived {run} in {place}. Its name is free for another study.")


@app.command()
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
            f"Not removed: nothing was changed. To keep it elsewhere: wardround coordinator archive {folder} {run}",
        )
    with commanding(folder) as coordinator:
        coordinator.remove(run)
    typer.echo(f"Removed {run}. Its name is free for another study.")


@app.command()
def status(
    folder: Folder,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every second until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which hospitals are connected, the state of each run, and whom it is waiting for."""
    from rich.console import Console
    from rich.live import Live

    from wardround_server.commands.status_screen import screen
    from wardround_server.service.commanding import commanding

    with commanding(folder) as coordinator:
        found = coordinator.status()
        if as_json:
            _echo_json(found.model_dump(mode="json"))
        elif not watch:
            Console(highlight=False, markup=False).print(screen(found.model_dump(mode="json")))
        else:
            with Live(screen(found.model_dump(mode="json")), refresh_per_second=2) as live:
                for found in coordinator.watch(WATCH_S):
                    live.update(screen(found.model_dump(mode="json")))


@app.command()
def health(folder: Folder) -> None:
    """Check that the service is running and able to work; otherwise say why not, and exit with that error's code."""
    from wardround_common.control import COORDINATOR
    from wardround_common.control.checking import check_health
    from wardround_common.control.place import is_served

    if not is_served(folder):
        from wardround_server.state.coordinator_folder import CoordinatorFolder

        CoordinatorFolder(folder).settings  # noqa: B018  # reading them says that a folder is nobody's
    check_health(folder, COORDINATOR)
    typer.echo("serving")


@app.command()
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
    from wardround_server.service.export import check_over, export_run
    from wardround_server.service.runs import ARCHIVE
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    source, target = folder / "runs" / run, out or Path(run)
    if not source.exists() and (folder / ARCHIVE / run).exists():
        source = folder / ARCHIVE / run
    check_over(source)
    place = CoordinatorFolder(folder)
    release = Release(read_words(words) if words else None, place.identity(), "coordinator", forms(), public=public)
    note_export(place, run, source / "model.safetensors")
    copied = export_run(source, target, statement or (), release)
    typer.echo(f"Copied {', '.join(copied[:-1])} and {copied[-1]} to {target}")
    typer.echo(said_of_release(target))


@app.command()
def backup(
    folder: Folder,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="New folder for the copy, on another disk.", show_default=False)
    ],
) -> None:
    """Back up the coordinator's folder, even while it serves. Keep the copy secret: it holds all private keys."""
    from wardround_server.state.backup import back_up
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    _ = CoordinatorFolder(folder).settings
    count = back_up(folder, out)
    typer.echo(f"Copied {count} files to {out}. It could impersonate this coordinator: keep it as secret as {folder}.")


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


def _show(place: CoordinatorFolder, as_json: bool, what: str, invitations: Sequence[tuple[str, str]] = ()) -> None:
    from wardround_common.keys.certificates import expiry_warning
    from wardround_common.keys.identity import fingerprint

    settings, server, authority = place.settings, place.certificate(), place.authority_certificate()
    mark = fingerprint(place.identity().public)
    warning = expiry_warning(server, _now())
    if as_json:
        _echo_json(
            {
                "folder": str(place.path),
                "fingerprint": mark,
                "address": settings.address,
                "hosts": list(settings.hosts),
                "port": settings.port,
                "server_certificate_until": server.not_valid_after_utc.isoformat(),
                "authority_until": authority.not_valid_after_utc.isoformat(),
                "warning": warning,
                "new_invitations": [{"hospital": name, "file": path} for name, path in invitations],
            }
        )
        return
    typer.echo(
        f"{what}\n\n"
        f"fingerprint  {mark}\n"
        f"address      {settings.address}\n"
        f"certificate  for {', '.join(settings.hosts)}, until {server.not_valid_after_utc:%Y-%m-%d}\n"
        f"authority    until {authority.not_valid_after_utc:%Y-%m-%d}"
    )
    if warning:
        typer.echo(f"\n{warning}", err=True)


def _warn_of(found: Survey) -> None:
    """Name the files that cannot be used: their hospitals are not among those that a command speaks of."""
    for error in found.damaged.values():
        typer.echo(f"Warning: {error}", err=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _echo_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
