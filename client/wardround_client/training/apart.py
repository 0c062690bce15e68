"""A rehearsal in a process of its own, for code and networks of others: they may hang or end it, and nothing else.

The process is given what to rehearse on its standard input and says what came of it on its standard output, where
nothing that the code prints can go.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from wardround_common.errors import PluginError, PrivacyError, StudyError, WardroundError
from wardround_common.study.file import Study, parse_canonical

LIMIT_S = 600.0
_KINDS: dict[str, type[WardroundError]] = {kind.__name__: kind for kind in (StudyError, PluginError, PrivacyError)}


def rehearse_apart(study: Study, limit_s: float | None = None) -> str:
    """Rehearse a study in a new process; return what was tried.

    Raises:
        StudyError, PrivacyError: what the rehearsal found.
        PluginError: the code of the study's plug-ins did not end within the limit, or ended its process.
    """
    names = ", ".join(f"{one.package} {one.version}" for one in study.plugin)
    where = f"plug-in {names}" if names else f"network {study.model.network}"
    whom = "Ask whoever wrote the plug-in." if names else "Use a network with fewer weights, or of the registry."
    limit = LIMIT_S if limit_s is None else limit_s
    try:
        ended = subprocess.run(  # noqa: S603  # ourselves
            [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
            input=study.canonical(),
            capture_output=True,
            timeout=limit,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        raise PluginError(
            f"its code did not end within {limit:.0f} s, for steps on noise that take a moment",
            where=where,
            do=whom,
        ) from None
    try:
        said = json.loads(ended.stdout)
    except ValueError:
        how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"exit code {ended.returncode}"
        raise PluginError(
            f"its code ended the process in which it was tried ({how})",
            where=where,
            do=whom,
        ) from None
    if "tried" in said:
        return str(said["tried"])
    raise _KINDS.get(said["kind"], PluginError)(said["what"], where=said["where"], do=said["do"])


def main() -> None:
    """Rehearse what standard input says, and say what came of it."""
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the code prints
    given = sys.stdin.buffer.read()
    with suppress(OSError):  # where the machine's memory is short, Linux ends this process before any other of ours
        Path("/proc/self/oom_score_adj").write_text("1000")
    from wardround_client.training.rehearsal import rehearse_here

    try:
        said = {"tried": rehearse_here(parse_canonical(given))}
    except WardroundError as error:
        kind = next((one.__name__ for one in type(error).__mro__ if one.__name__ in _KINDS), "")
        said = {"kind": kind, "what": error.what, "where": error.where, "do": error.do}
    except Exception as error:  # noqa: BLE001  # told to who asked, in whose process a bug would be one
        said = {"kind": "", "what": f"it failed: {type(error).__name__}: {error}", "where": "", "do": ""}
    json.dump(said, result)
    result.flush()
    os._exit(0)  # threads that the code has left behind do not hold it
