"""The ledger's file, read as it is between two changes, without writing anything next to it.

SQLite makes files next to a database in WAL mode even for a reader, and cannot read it where it may not: in a copy that
is mounted read only, or on a full disk. So readers take the file whole, and open what they took.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from wardround_common.errors import CHECK_FILE, StorageError
from wardround_common.storage import no_room_is_said

LOOKS = 40
LOOK_S = 0.05  # writers hold the ledger for milliseconds: two seconds of looks find a moment between them
_FORMAT = slice(18, 20)  # of a database's header: 2 is WAL mode, 1 the older one (sqlite.org/fileformat2, 1.3.3)


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database as it is now; what a process that was killed left in its write-ahead log is in it.

    Raises:
        StorageError: it cannot be read, or changed at every look.
        sqlite3.Error: it is no database.
    """
    log = path.with_name(path.name + "-wal")
    for _ in range(LOOKS):
        before = _state(path), _state(log)
        content, logged = _read(path), _read(log) if before[1] else b""
        if (_state(path), _state(log)) == before:
            break
        time.sleep(LOOK_S)
    else:
        raise StorageError("the ledger changed each time it was read", where=str(path), do="Try again.")
    if not logged:
        header = bytearray(content[:100])
        if header[_FORMAT] == b"\x02\x02":  # nothing is logged: the file is whole, and memory knows no WAL mode
            header[_FORMAT] = b"\x01\x01"
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
            if content:
                database.deserialize(bytes(header) + content[100:])
            yield database
        return
    with no_room_is_said(Path(tempfile.gettempdir())):
        place = tempfile.TemporaryDirectory()
    with place:
        copy = Path(place.name) / path.name
        with no_room_is_said(copy):
            copy.write_bytes(content)
            copy.with_name(log.name).write_bytes(logged)
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            yield database


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"the ledger cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE) from None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(f"the ledger cannot be read ({error.strerror})", where=str(path), do=CHECK_FILE) from None
