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
