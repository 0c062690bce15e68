"""Where a service's socket is: in a folder that only its owner can open, within the service's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardround_common.errors import ServiceError, StorageError

FOLDER, NAME = "control", "socket"
LONGEST_PATH = 100  # bytes of a UNIX socket's address; the system's own limit is a little above
OPEN_FOLDERS = Path("/proc/self/fd")
SILENT_S = 5.0  # that long a service is waited for


@contextmanager
def address(folder: Path, name: str = NAME) -> Iterator[str]:
    """Yield a path of the socket in a service's folder that fits into a UNIX socket's address.

    Where its own is too long, it is named by way of the opened folder, which Linux can.

    Raises:
        StorageError: it does not fit, and this system cannot.
        OSError: the folder cannot be opened.
    """
    place = folder.absolute() / FOLDER
    path = str(place / name)
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    if not OPEN_FOLDERS.is_dir():
        raise StorageError(
            f"the folder's path is too long for a UNIX socket ({LONGEST_PATH} bytes)",
            where=str(folder),
            do="Move the folder to a shorter path.",
        )
    opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield str(OPEN_FOLDERS / str(opened) / name)
    finally:
        os.close(opened)


def is_served(folder: Path) -> bool:
    """Tell whether a service listens in a folder; what a killed one left behind does not.

    Raises:
        StorageError: the service is another user's.
        ServiceError: it takes no connection.
    """
    try:
        with address(folder) as path, socket.socket(socket.AF_UNIX) as line:
            line.settimeout(SILENT_S)
            line.connect(path)
    except PermissionError:
        raise StorageError(
            "this service belongs to another user",
            where=str(folder),
            do="Run the command as the user who runs the service.",
        ) from None
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return False
    except OSError:
        raise silent(folder) from None
    return True


def silent(folder: Path, within_s: float = SILENT_S) -> ServiceError:
    """Return what is said of a service that does not answer."""
    return ServiceError(
        f"the service of this folder did not answer within {within_s:g} s",
        where=str(folder),
        do="Check its log and the machine's load. If this persists, stop it and start it again.",
    )
