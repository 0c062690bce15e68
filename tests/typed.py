"""A command as a person types it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from wardround_common.shell.cli import wardround


def command(*words: str | Path) -> str:
    """Run ``wardround`` with these words in this process, which it must end well; return what it prints."""
    done = CliRunner().invoke(wardround, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout
