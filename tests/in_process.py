"""A command of ``wardround`` in this process, which saves the second that a new Python takes."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass

import pytest

from wardround_common.shell.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: object
    stdout: str
    stderr: str


def run(*arguments: object) -> Done:
    """Call ``wardround`` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["wardround", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return Done(ended.value.code, out.getvalue(), err.getvalue())
