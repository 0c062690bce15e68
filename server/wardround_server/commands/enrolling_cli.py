"""``wardround coordinator`` init, enrol, hospitals, revoke, renew, roster: who joins. Imports wait for a command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_common.shell.command_options import AsJson, Compared
from wardround_common.shell.commands import confirm
from wardround_server.commands.completing import hospitals as hospitals_here

if TYPE_CHECKING:
    from wardround_common.documents.enrolment import Invitation, Request
    from wardround_server.state.coordinator_folder import CoordinatorFolder, Survey

from wardround_server.commands.options import Folder, echo_json, utc_now

Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME_OR_IP",
        help="Name or address at which hospitals reach this machine; repeatable. Invitations use the first.",
        show_default=False,
    ),
]


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
    begin(place, host, port, utc_now())
    _show(place, as_json, f"Set up a coordinator in {folder}; its private keys stay there.")
    if not as_json:
        typer.echo(
            "\nHospitals compare this fingerprint by telephone when they get their invitation.\n"
            f"For each request that arrives: wardround coordinator enrol {shlex.quote(str(folder))} REQUEST"
        )


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
    found = standing(place, asked, utc_now())
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
    invitation = let_in(place, asked, utc_now())
    written = out or Path(f"{file_stem(asked.hospital)}.invitation")
    give_out(written, invitation)
    _say_enrolled(asked, invitation, written, as_json)


def _say_enrolled(asked: Request, invitation: Invitation, written: Path, as_json: bool) -> None:
    if as_json:
        echo_json(
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
        echo_json([dict(zip(keys, (n, f, e.isoformat(), r and r.isoformat()), strict=True)) for n, f, e, r in rows])
        return
    if not rows:
        typer.echo(
            "No hospital is enrolled yet. For each request: "
            f"wardround coordinator enrol {shlex.quote(str(folder))} REQUEST"
        )
        return
    table = Table("hospital", "fingerprint", "enrolled", "revoked", box=None, pad_edge=False)
    for name, mark, since, end in rows:
        table.add_row(name, mark, f"{since:%Y-%m-%d}", f"{end:%Y-%m-%d}" if end else "")
    Console(highlight=False, markup=False).print(table)


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
    gone = let_out(place, hospital, utc_now())
    if as_json:
        echo_json({"hospital": gone.hospital, "fingerprint": gone.fingerprint, "revoked": gone.revoked.isoformat()})
        return
    typer.echo(
        f"Revoked {gone.hospital}, {gone.fingerprint}. These keys can never be enrolled again; "
        "the hospital can be enrolled with other keys.\nStudies that list this key in their roster stay as they are."
    )


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
    invited = make_new(place, host or [], port, utc_now(), new_authority=new_authority)
    _warn_of(place.survey())
    new = [(one.name, str(place.invitation_of(one.name))) for one in invited]
    _show(place, as_json, "Made a new certificate for the server, with a new key.", new)
    if new and not as_json:
        lines = "\n".join(f"  {name}: {path}" for name, path in new)
        typer.echo(f"\nThese hospitals need their new invitation; send each its own:\n{lines}")


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


def _show(place: CoordinatorFolder, as_json: bool, what: str, invitations: Sequence[tuple[str, str]] = ()) -> None:
    from wardround_common.keys.certificates import validity_warning
    from wardround_common.keys.identity import fingerprint

    settings, server, authority = place.settings, place.certificate(), place.authority_certificate()
    mark = fingerprint(place.identity().public)
    warning = validity_warning(server, utc_now())
    if as_json:
        echo_json(
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
