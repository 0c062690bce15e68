"""The index of a hospital's folder: every file is read once, and again only when it has changed.

The index is a cache in SQLite. It holds patients' identifiers, so it is readable by its owner only, and it is never
written into the folder that it describes. Records are committed as the scan proceeds: a scan that is killed is
continued by the next one.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from wardround_client.images.plugin_formats import formats_let_in
from wardround_client.intake import kept_pixels
from wardround_client.intake.image_kinds import kinds_by_study
from wardround_client.intake.instance import Index, Instance, Refusal
from wardround_client.intake.kept_pixels import Keeper, Room
from wardround_client.intake.labels import TABLES
from wardround_client.intake.readers import read_in_processes
from wardround_client.intake.record import (
    READER,
    RETRIED,
    CodecNeededError,
    Record,
    check_allowed,
    from_json,
    read_record,
    to_json,
)
from wardround_common.errors import DataError, FullDiskError, StorageError

INDEX_FILE = "index.sqlite"
_COMMIT_EVERY_S = 1.0

_log = logging.getLogger("wardround")


@dataclass(frozen=True, slots=True)
class _Found:
    """A file as the folder shows it; ``refused`` where it cannot even be looked at."""

    size: int = 0
    mtime_ns: int = 0
    refused: Refusal | None = None


def scan(
    folder: Path,
    *,
    state: Path,
    allow: frozenset[str] = frozenset(),
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Bring the index of a folder up to date and give it, files in order.

    Files whose size or time of change differ from the index are read; the others are not opened. A file that cannot
    be read is refused with a reason and stops nothing; where its bytes need not be the cause, the next scan tries it
    again. Symbolic links are followed, to each folder and each file once. Hidden files and tables of labels are passed
    over. With one worker this process reads what needs no decoder in C, and a second process reads what does,
    so that a crash of the decoder costs one file; where much is left for the second when this one has read its own,
    a third takes its place. With several workers, that number of processes do all the reading.

    Args:
        folder: the hospital's images; nothing is ever written there.
        state: where the index is kept, made if need be with access for its owner only.
        allow: what the hospital accepts although the de-identification check found it, or although it is not an image
            that its study was made for: words of ``ALLOWABLE``.
        workers: how many processes read; with 1, two at a time: this one, and another for compressed files.
        progress: called with how many of the changed files have been read, and how many there are.

    Raises:
        DataError: the folder is not there or may not be read, or ``allow`` holds an unknown word.
        StorageError: the index cannot be written.
    """
    check_allowed(allow)
    folder = _checked_folder(folder)
    found = _walk(folder, leave_out=state.resolve())
    with _storage_errors(state), closing(_open(state, folder)) as database:
        known = {
            os.fsdecode(file): (size, mtime_ns)
            for file, size, mtime_ns in database.execute("SELECT file, size, mtime_ns FROM files")
        }
        gone = known.keys() - {file for file, seen in found.items() if not seen.refused}
        database.executemany("DELETE FROM files WHERE file = ?", ((os.fsencode(file),) for file in gone))
        changed = [
            file for file, seen in found.items() if not seen.refused and known.get(file) != (seen.size, seen.mtime_ns)
        ]
        keeper = Keeper(state / kept_pixels.FOLDER, Room(kept_pixels.room_for(state)))
        for_now = _read_changed(database, folder, found, changed, workers, progress, keeper)
        records = [*_load(database), *for_now]
        kept = {record.read.file: record.kept for record in records if record.kept is not None}
        kept_pixels.sweep(state, kept.values())
    beside = kinds_by_study(record.read for record in records if isinstance(record.read, Instance))
    verdicts = [record.verdict(allow, beside.get(record.read.file)) for record in records]
    verdicts += [seen.refused for seen in found.values() if seen.refused]
    verdicts.sort(key=lambda verdict: verdict.file)
    return Index(
        accepted=tuple(verdict for verdict in verdicts if isinstance(verdict, Instance)),
        refused=tuple(verdict for verdict in verdicts if isinstance(verdict, Refusal)),
        reread=len(changed),
        allowed=tuple(sorted(allow)),
        kept=kept,
    )


def _checked_folder(folder: Path) -> Path:
    try:
        resolved = folder.resolve(strict=True)
        os.scandir(resolved).close()
    except FileNotFoundError:
        raise DataError("there is no such folder", where=str(folder), do="Check the path.") from None
    except NotADirectoryError:
        raise DataError(
            "this is a file, not a folder", where=str(folder), do="Name the folder that holds it."
        ) from None
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "its links lead in a circle"
        raise DataError(
            f"this user may not read the folder ({why})",
            where=str(folder),
            do="Give this user permission to list and read it.",
        ) from None
    return resolved


def _walk(folder: Path, *, leave_out: Path) -> dict[str, _Found]:
    """List the files below a folder by their relative path with ``/``; nothing is opened.

    Links are followed after the folder itself was walked: one that leads to what is there already is refused, and what
    it leads to is not.
    """
    found: dict[str, _Found] = {}
    visited: set[tuple[int, int]] = set()
    walked = [(os.fspath(folder), "")]  # folders by their real path, with the prefix of the files found there
    links = deque(_walk_folder("", os.fspath(folder), found, visited, leave_out))
    to_files: list[tuple[str, str, os.stat_result]] = []
    while links:
        file, place = links.popleft()
        try:
            status = os.stat(place)  # noqa: PTH116  # names that are not UTF-8 stay as they are
        except OSError as error:
            what = "the link leads back to itself" if error.errno == errno.ELOOP else "the link leads nowhere"
            found[file] = _refused(file, "broken-link", what)
            continue
        if not stat.S_ISDIR(status.st_mode):
            to_files.append((file, os.path.realpath(place), status))
        elif (status.st_dev, status.st_ino) in visited:
            found[file] = _refused(file, "link-loop", "the link leads to a folder that is there already")
        elif Path(place).resolve() != leave_out:
            walked.append((os.path.realpath(place), f"{file}/"))
            links.extend(_walk_folder(f"{file}/", place, found, visited, leave_out))
    seen: set[str] = set()
    for file, target, status in to_files:
        names = (prefix + target[len(place) + 1 :] for place, prefix in walked if target.startswith(f"{place}/"))
        if target in seen or any(name in found for name in names):
            found[file] = _refused(file, "link-loop", "the link leads to a file that is there already")
        else:
            seen.add(target)
            found[file] = _seen(file, status)
    return found


def _walk_folder(
    prefix: str, place: str, found: dict[str, _Found], visited: set[tuple[int, int]], leave_out: Path
) -> list[tuple[str, str]]:
    """Add the files of a folder and the folders in it; return the links there: (relative path, where they are)."""
    links: list[tuple[str, str]] = []
    todo = [(prefix, place)]
    while todo:
        prefix, place = todo.pop()
        try:
            here = os.stat(place)  # noqa: PTH116
            if (here.st_dev, here.st_ino) in visited:  # a folder mounted twice, or reached by a link meanwhile
                continue
            visited.add((here.st_dev, here.st_ino))
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            name = prefix.rstrip("/")
            found[name] = _refused(name, "permission", f"this user may not read the folder ({error.strerror})")
            continue
        for entry in entries:
            if entry.name.startswith(".") or (not prefix and entry.name in TABLES):
                continue
            file = prefix + entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                found[file] = _refused(file, "vanished", f"the file cannot be looked at ({error.strerror})")
                continue
            if stat.S_ISLNK(status.st_mode):
                links.append((file, entry.path))
            elif stat.S_ISDIR(status.st_mode):
                if Path(entry.path) != leave_out:
                    todo.append((f"{file}/", entry.path))
            else:
                found[file] = _seen(file, status)
    return links


def _seen(file: str, status: os.stat_result) -> _Found:
    if stat.S_ISREG(status.st_mode):
        return _Found(status.st_size, status.st_mtime_ns)
    return _refused(file, "not-a-file", "this is a pipe, a socket or a device, not a file")


def _refused(file: str, reason: str, detail: str) -> _Found:
    return _Found(refused=Refusal(file, reason, detail))


def _read_changed(
    database: sqlite3.Connection,
    folder: Path,
    found: dict[str, _Found],
    changed: list[str],
    workers: int,
    progress: Callable[[int, int], None] | None,
    keeper: Keeper,
) -> list[Record]:
    """Read files into the index; return the refusals that it does not keep, so that the next scan tries again."""
    if progress:
        progress(0, len(changed))
    committed = time.monotonic()
    for_now: list[Record] = []
    try:
        for done, (file, record) in enumerate(_records(folder, changed, workers, keeper), start=1):
            seen = found[file]
            if (refused := _refusal_for_now(record)) is not None:
                for_now.append(refused)
                database.execute("DELETE FROM files WHERE file = ?", (os.fsencode(file),))
            else:
                database.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                    (os.fsencode(file), seen.size, seen.mtime_ns, record),
                )
            if progress:
                progress(done, len(changed))
            if time.monotonic() - committed > _COMMIT_EVERY_S:
                database.commit()
                committed = time.monotonic()
    finally:
        database.commit()
    return for_now


def _refusal_for_now(record: str) -> Record | None:
    if not record.startswith('["refusal"'):  # most are not, and need not be parsed
        return None
    parsed = from_json(record)
    return parsed if isinstance(parsed.read, Refusal) and parsed.read.reason in RETRIED else None


def _records(folder: Path, files: list[str], workers: int, keeper: Keeper) -> Iterator[tuple[str, str]]:
    work = files if workers > 1 else _read_here(folder, files, keeper)
    try:  # this process and a reader, or two readers: with one worker two processes are busy at any time
        yield from read_in_processes(
            folder, work, workers=workers, kept_in=keeper.folder, room=keeper.room, at_the_end=2
        )
    finally:
        keeper.close()


def _read_here(folder: Path, files: list[str], keeper: Keeper) -> Iterator[str | tuple[str, str]]:
    """Read what needs no codec, and name the files that do."""
    for file in files:
        try:
            record = read_record(folder, file, codecs=False, keeper=keeper)
        except CodecNeededError:
            yield file
        else:
            yield file, to_json(record)


def _load(database: sqlite3.Connection) -> Iterable[Record]:
    return [from_json(text) for (text,) in database.execute("SELECT record FROM files")]


def _open(state: Path, folder: Path) -> sqlite3.Connection:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = state / INDEX_FILE
    # SQLite makes its side files with the access rights of the file itself.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        return _prepared(file, folder)
    except (sqlite3.DatabaseError, ValueError) as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
    _log.warning("The index of the images is damaged; it is made again, and every file is read.")
    for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        with suppress(FileNotFoundError):
            name.unlink()
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return _prepared(file, folder)


def _prepared(file: Path, folder: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=60)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last second, never the rest
        database.execute("CREATE TABLE IF NOT EXISTS about (word TEXT PRIMARY KEY, value BLOB)")
        database.execute(
            "CREATE TABLE IF NOT EXISTS files (file BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, record TEXT)"
        )
        read_by = " ".join([READER, *formats_let_in()])
        made_by = {b"reader": read_by.encode(), b"folder": os.fsencode(folder)}
        if {
            bytes(word, "ascii"): value for word, value in database.execute("SELECT word, value FROM about")
        } != made_by:
            database.execute("DELETE FROM files")
            database.executemany(
                "INSERT OR REPLACE INTO about VALUES (?, ?)",
                ((word.decode(), value) for word, value in made_by.items()),
            )
            database.commit()
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise ValueError("damaged")
        _load(database)
    except BaseException:
        database.close()
        raise
    return database


class _storage_errors:  # noqa: N801  # reads as a phrase where it is used
    """Turns what SQLite and the disk say of the index into a StorageError for a person."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (sqlite3.Error, OSError)):
            where = str(self._state / INDEX_FILE)
            if "full" in str(error):
                raise FullDiskError(
                    "the index of the images cannot be written (the disk is full)",
                    where=where,
                    do="Make room and scan again; what was read is kept.",
                ) from error
            raise StorageError(
                f"the index of the images cannot be written ({getattr(error, 'strerror', None) or str(error)})",
                where=where,
                do="Choose another place with --state; for a hospital service, set XDG_CACHE_HOME.",
            ) from error
