"""``wardround hospital`` serve, page, pause, resume, status and health: its service. Imports wait for a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_client.commands.joining_cli import accept_file
from wardround_common.shell.command_options import (
    AsJson,
    Compared,
    LogJson,
    MetricsPort,
    PagePort,
    PageReadOnly,
    ShowPages,
)
from wardround_common.shell.commands import in_its_folder, say
from wardround_common.shell.imports import at_once

WATCH_S = 1.0  # between two looks at a service


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
        from wardround_common.folder_owner import check_readable

    folder = HospitalFolder(state or hospital_state())
    check_readable(folder.path)
    if invitation is not None:
        accept_file(state, invitation, yes)
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


def page(state: State = None) -> None:
    """Print an address of the service's pages, good for one browser, once, and for a quarter of an hour."""
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.control import HOSPITAL
    from wardround_common.pages.invite import address_of

    typer.echo(address_of(state or hospital_state(), HOSPITAL))


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
    say("Paused: no new work is started. Resume with: wardround hospital resume")


def resume(state: State = None) -> None:
    """Resume work after 'pause'."""
    from wardround_client.hospital.pausing import resume_work
    from wardround_client.service.asking import asking
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import ServiceAwayError

    folder = HospitalFolder(state or hospital_state())
    folder.check_set_up()
    try:
        with asking(folder.path) as hospital:
            hospital.resume()
    except ServiceAwayError:
        resume_work(folder)
    typer.echo("This hospital is active again.")


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
                with Live(Text(in_its_folder(str(found))), refresh_per_second=2) as live:
                    for found in hospital.watch(WATCH_S):
                        live.update(Text(in_its_folder(str(found))))
    except ServiceAwayError:
        if found:  # it has ended while it was watched
            raise
        found = stopped_status(folder)
    if as_json:
        typer.echo(json.dumps(found.facts(), indent=2, ensure_ascii=False))
    else:
        say(str(found))


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
