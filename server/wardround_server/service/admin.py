"""How the coordinator's own people command it while it serves: a UNIX socket in its folder, never the public port.

One line of JSON asks, one answers; whoever may open the socket's file (mode 0600) may ask.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wardround_common import errors
from wardround_common.errors import StorageError, WardroundError
from wardround_server.state.coordinator_folder import CoordinatorFolder

log = logging.getLogger(__name__)

NAME = "admin.sock"
LONGEST_LINE = 256 * 1024
LONGEST_PATH = 100  # of a UNIX socket; the system's own limit is a little above
Handle = Callable[[Mapping[str, Any]], Any]
ERRORS = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WardroundError)}


class Admin:
    """Answers commands at a socket in ``folder``, each in a thread of its own, until it is closed."""

    def __init__(self, folder: Path, handle: Handle) -> None:
        path = _path(folder)
        path.unlink(missing_ok=True)  # of a process that was killed: the folder's lock says that none is alive
        before = os.umask(0o177)
        try:
            self._server = _Server(str(path), handle)
        finally:
            os.umask(before)
        self._path = path
        self._thread = threading.Thread(target=self._server.serve_forever, name="admin", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def command(folder: Path, what: str, **facts: Any) -> Any:
    """Give a command to the coordinator that serves from this folder, and return its answer.

    Raises:
        StorageError: this is no coordinator's folder, none serves there, or the socket is not ours to open.
        WardroundError: what it answered, of the kind that it was there.
    """
    path = _path(folder)
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(path))
            line.sendall(json.dumps({"what": what, **facts}).encode() + b"\n")
            with line.makefile("rb") as file:
                answer = json.loads(file.readline())
    except PermissionError:
        raise StorageError(
            "this coordinator is another user's", where=str(path), do="Give the command as the user that serves."
        ) from None
    except (OSError, ValueError):
        _ = CoordinatorFolder(folder).settings  # raises, if nobody could serve from here
        raise StorageError(
            "no coordinator serves from this folder",
            where=str(folder),
            do=f"Start it: wardround coordinator serve {folder}",
        ) from None
    if "error" in answer:
        kind = ERRORS.get(answer["error"], WardroundError)
        raise kind(answer["said"], where=answer["where"], do=answer["do"])
    return answer["result"]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, handle: Handle) -> None:
        self.handle = handle
        super().__init__(path, _Line)


class _Line(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 10.0

    def handle(self) -> None:
        """Answer one line."""
        try:
            asked = json.loads(self.rfile.readline(LONGEST_LINE))
        except (OSError, ValueError):
            return
        answer: dict[str, Any]
        try:
            answer = {"result": self.server.handle(asked)}
        except WardroundError as error:
            answer = {"error": type(error).__name__, "said": error.what, "where": error.where, "do": error.do}
        except Exception:
            log.exception("a command failed by a bug")
            answer = {"error": "", "said": "a bug in Wardround: the coordinator's log has it", "where": "", "do": ""}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def _path(folder: Path) -> Path:
    path = folder.resolve() / NAME
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise StorageError(
            f"the folder's path is too long for a UNIX socket ({LONGEST_PATH} bytes)",
            where=str(folder),
            do="Move the coordinator's folder to a shorter path.",
        )
    return path
