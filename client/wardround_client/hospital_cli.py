"""``wardround hospital``: what the people of one hospital do. What it needs is imported when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    suggest_commands=False,  # click says it already
    rich_markup_mode=None,
    help="This hospital's identity, and what it takes part in and spends.",
)

State = Annotated[
    Path | None,
    typer.Option(
        help="The hospital's own folder: keys and accounts. Default: this user's data folder.",
        metavar="DIR",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.callback()
def hospital() -> None:
    """Keep the sub-commands below this one, also while there is only one."""


@app.command()
def identity(
    name: Annotated[str, typer.Argument(help="The hospital's name in rosters.", show_default=False)],
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Make this hospital's key, or show the public half of the one that it has."""
    from wardround_client.identity_file import make_identity
    from wardround_client.state_folder import hospital_state
    from wardround_common.roster import Listed, check_name

    check_name(name)
    folder = state or hospital_state()
    made, new = make_identity(folder)
    listed = Listed.of(name, made.public)
    if as_json:
        typer.echo(json.dumps(listed.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{'Made' if new else 'This is'} the identity of {name}; the private half stays in {folder}.\n\n"
        f"fingerprint  {listed.fingerprint}\n\n"
        "Give these lines to the coordinator for the study file, and compare the fingerprint by telephone:\n\n"
        f"{listed.toml()}"
    )


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The hospital's name, as others will read it.", show_default=False)],
    data: Annotated[Path, typer.Option(metavar="DIR", help="The folder of images.", show_default=False)],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The table of labels; labels.csv in the folder of images otherwise.",
            show_default=False,
        ),
    ] = None,
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write the request; NAME.request otherwise.", show_default=False),
    ] = None,
    new_node_key: Annotated[
        bool, typer.Option("--new-node-key", help="Replace the key of the connection; the identity stays.")
    ] = False,
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Replace both keys: to every study this is another hospital then.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set this hospital up: make its keys, which stay here, and write the request for the coordinator."""
    from datetime import UTC, datetime

    from wardround_client.hospital_folder import HospitalFolder
    from wardround_client.joining import begin, replace_keys
    from wardround_client.state_folder import hospital_state
    from wardround_common.enrolment import file_stem
    from wardround_common.given_out import give_out

    folder = HospitalFolder(state or hospital_state())
    now = datetime.now(UTC)
    if new_node_key or new_keys:
        replace_keys(folder, now, identity=new_keys)
    request, new = begin(folder, name, data, labels, now)
    written = out or Path(f"{file_stem(request.hospital)}.request")
    give_out(written, request)
    if as_json:
        answer = {"hospital": request.hospital, "fingerprint": request.fingerprint, "request": str(written), "new": new}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{'Set up' if new else 'This is'} {request.hospital}; its private keys stay in {folder.path}.\n\n"
        f"fingerprint  {request.fingerprint}\n\n"
        f"Wrote {written}: send it to the coordinator, and read it this fingerprint by telephone.\n"
        "When the invitation has come back: wardround hospital serve INVITATION"
    )
