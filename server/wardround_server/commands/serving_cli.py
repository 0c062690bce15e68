"""``wardround coordinator`` serve, page, status, health and backup: its service. Imports wait for a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_common.counting import count
from wardround_common.shell.command_options import AsJson, LogJson, MetricsPort, PagePort, PageReadOnly, ShowPages
from wardround_server.commands.options import Folder, echo_json

WATCH_S = 1.0


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

    from wardround_common.folder_owner import check_readable
    from wardround_common.shell.service_log import ServiceLog
    from wardround_server.service.memory import give_large_buffers_back
    from wardround_server.service.serving import Service
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    check_readable(folder)
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


def page(folder: Folder) -> None:
    """Print an address of the service's pages, good for one browser, once, and for a quarter of an hour."""
    from wardround_common.control import COORDINATOR
    from wardround_common.pages.invite import address_of

    typer.echo(address_of(folder, COORDINATOR))


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
            echo_json(found.model_dump(mode="json"))
        elif not watch:
            Console(highlight=False, markup=False).print(screen(found.model_dump(mode="json")))
        else:
            with Live(screen(found.model_dump(mode="json")), refresh_per_second=2) as live:
                for found in coordinator.watch(WATCH_S):
                    live.update(screen(found.model_dump(mode="json")))


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
    files = count(back_up(folder, out), "file")
    typer.echo(f"Copied {files} to {out}. It could impersonate this coordinator: keep it as secret as {folder}.")
