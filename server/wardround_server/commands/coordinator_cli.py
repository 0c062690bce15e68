"""``wardround coordinator``: the commands for a coordinator's staff. Imports are deferred until a command runs."""

from __future__ import annotations

from wardround_common.shell.commands import Commands
from wardround_server.commands import audit_cli, enrolling_cli, running_cli, serving_cli

app = Commands("Run a coordinator: enrol hospitals, propose studies to them, coordinate the rounds.")
app.add_typer(audit_cli.app, name="audit")
app.command()(enrolling_cli.init)
app.command()(enrolling_cli.enrol)
app.command()(enrolling_cli.hospitals)
app.command()(enrolling_cli.revoke)
app.command()(enrolling_cli.renew)
app.command()(enrolling_cli.roster)
app.command()(serving_cli.serve)
app.command()(serving_cli.page)
app.command()(running_cli.run)
app.command()(running_cli.resume)
app.command()(running_cli.stop)
app.command()(running_cli.archive)
app.command()(running_cli.remove)
app.command()(serving_cli.status)
app.command()(serving_cli.health)
app.command()(running_cli.export)
app.command()(serving_cli.backup)
