"""``wardround hospital policy``: what a hospital takes part in, and what a patient may spend. Imports are deferred."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_common.shell.commands import Commands

app = Commands("Write the policy: what this hospital takes part in, and what a patient may spend.")


@app.callback()
def policy() -> None:
    """Keep the sub-commands below this one, also while there is only one."""


@app.command()
def new(
    state: State = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the policy here instead of policy.toml in --state.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a strict policy in which every key is explained."""
    from wardround_client.spending.policy import POLICY_NAME, policy_text
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import StorageError
    from wardround_common.storage import write_atomically

    path = out or (state or hospital_state()) / POLICY_NAME
    if path.exists():
        raise StorageError("this file already exists", where=str(path), do="Edit it, or name another with --out.")
    write_atomically(path, policy_text().encode(), private=True)
    typer.echo(f"Wrote {path}; read it, and change what does not suit this hospital.")
