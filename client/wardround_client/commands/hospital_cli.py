"""``wardround hospital``: the commands for a hospital's staff. Imports are deferred until a command runs."""

from __future__ import annotations

from wardround_client.commands import (
    audit_cli,
    deciding_cli,
    gallery_cli,
    joining_cli,
    ledger_cli,
    policy_cli,
    serving_cli,
    spending_cli,
)
from wardround_common.shell.commands import Commands

app = Commands("Run a hospital: connect to a coordinator, decide on studies, track the privacy budget.")
app.add_typer(policy_cli.app, name="policy")
app.add_typer(ledger_cli.app, name="ledger")
app.add_typer(audit_cli.app, name="audit")
app.command()(joining_cli.init)
app.command()(joining_cli.identity)
app.command("accept")(joining_cli.accept_invitation)
app.command()(serving_cli.serve)
app.command()(serving_cli.page)
app.command()(deciding_cli.studies)
app.command()(deciding_cli.approve)
app.command()(deciding_cli.refuse)
app.command()(serving_cli.pause)
app.command()(serving_cli.resume)
app.command()(serving_cli.status)
app.command()(serving_cli.health)
app.command()(spending_cli.budget)
app.command()(spending_cli.statement)
app.command()(deciding_cli.own)
app.command()(deciding_cli.close)
app.command("gallery")(gallery_cli.gallery)
app.command("gallery-page", hidden=True)(gallery_cli.gallery_page)
app.command("gallery-image", hidden=True)(gallery_cli.gallery_image)
