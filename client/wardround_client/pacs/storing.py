"""Results go back to the archive: each file is checked, sent and asked for again; nothing is sent twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from wardround_client.images.dicom import refusing, syntax_of
from wardround_client.images.listing import files_below
from wardround_client.images.sop_class import CAPTURE, is_below, other_class
from wardround_client.images.source import read_bytes
from wardround_client.pacs.archive import Archive, Instance, Outcome, Query, StoredFile
from wardround_client.pacs.dimse import word
from wardround_common.errors import DataError, ImageRefused, PacsError

RESULTS = frozenset({"segmentation", "report", "presentation-state"})
"""What a result is, in the words of ``sop_class``, beside a secondary capture."""


@dataclass(frozen=True)
class Sent:
    """What became of one file."""

    file: str = field(repr=False)
    outcome: str
    """``stored``, ``there`` (it was, and is the same), ``refused`` (it was not sent) or ``failed``."""
    reason: str = ""
    uid: str = field(default="", repr=False)
    committed: bool | None = None
    """Whether the archive committed itself to it; None where it has no storage commitment, or did not report."""


def files_in(paths: Iterable[Path]) -> tuple[list[Path], int]:
    """List the files that are named, and those below the folders that are, each once; hidden ones are left out.

    Below a folder files that are no DICOM accompany results, as tables and PNG of predictions do: they are passed over,
    and their number is returned too.

    Raises:
        DataError: one is not there or cannot be read, or there are none.
    """
    found: dict[Path, None] = {}
    passed: set[Path] = set()
    for path in paths:
        if path.is_dir():
            for one in files_below(path.resolve()):
                if _may_be_dicom(one):
                    found[one] = None
                else:
                    passed.add(one)
        elif path.exists():
            found[path.resolve()] = None
        else:
            raise DataError("there is no such file or folder", where=str(path), do="Check the path.")
    if not found:
        raise DataError("there are no files to store", where=", ".join(map(str, paths)), do="Name files of results.")
    return [*found], len(passed - {*found})


def _may_be_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM by its first bytes, or is named so: a damaged one is not passed over."""
    if path.suffix.lower() == ".dcm":
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # storing it says why it cannot be read


Commit = Callable[[Sequence[Instance]], dict[str, str] | None]


def store(
    archive: Archive, paths: Sequence[Path], *, anything: bool = False, commit: Commit | None = None
) -> list[Sent]:
    """Send these files to the archive, study by study, and ask afterwards whether it has them.

    ``anything``: also what is no result, and results of studies that the archive does not have. A file of another
    patient than its study has there is never sent. ``commit`` asks the archive to commit itself to what it has then.

    Raises:
        PacsError: the archive is away; what it has is not sent again the next time.
    """
    read = [(path, _read(path, anything=anything)) for path in paths]
    sent = {path: Sent(str(path), "refused", each) for path, each in read if isinstance(each, str)}
    by_study: dict[str, list[tuple[Path, StoredFile]]] = {}
    seen: set[str] = set()
    for path, each in read:
        if isinstance(each, str):
            continue
        if each.instance.uid in seen:
            sent[path] = Sent(str(path), "refused", "another of these files has the same UID", each.instance.uid)
            continue
        seen.add(each.instance.uid)
        by_study.setdefault(each.instance.study, []).append((path, each))
    with archive.opened() as asked:
        for study, files in by_study.items():
            for one in _store_study(asked, study, files, anything=anything):
                sent[Path(one.file)] = one
    if commit is not None:
        _commit(commit, sent, {path: each.instance for path, each in read if not isinstance(each, str)})
    return [sent[path] for path in paths]


def _commit(commit: Commit, sent: dict[Path, Sent], instances: Mapping[Path, Instance]) -> None:
    there = [path for path, each in sent.items() if each.outcome in ("stored", "there")]
    said = commit([instances[path] for path in there]) if there else None
    for path in there if said is not None else ():
        reason = (said or {}).get(sent[path].uid, "")
        outcome = "failed" if reason else sent[path].outcome
        sent[path] = replace(sent[path], outcome=outcome, reason=reason, committed=not reason)


def _read(path: Path, *, anything: bool) -> StoredFile | str:
    """Read a file to be stored; return why it is refused."""
    try:
        content = read_bytes(path)
        with refusing("unreadable", "this is no DICOM file that can be read", where=str(path)):
            dataset = dcmread(BytesIO(content), stop_before_pixels=True)
            uids = [word(dataset, f"{what}InstanceUID") for what in ("Study", "Series", "SOP")]
            sop_class, syntax, patient = word(dataset, "SOPClassUID"), syntax_of(dataset), word(dataset, "PatientID")
    except ImageRefused as refused:
        return refused.what
    if not (all(uids) and sop_class and syntax):
        return "it lacks a UID that says what it is, or how it is encoded"
    if not anything and not _is_result(sop_class):
        return "it is neither a segmentation, a report, a presentation state nor a secondary capture; --any sends it"
    return StoredFile(content, Instance(uids[0], uids[1], uids[2], sop_class, syntax), patient)


def _is_result(sop_class: str) -> bool:
    reason, _ = other_class(sop_class) or ("", "")
    return reason in RESULTS or is_below(sop_class, CAPTURE)


def _store_study(
    archive: Archive, study: str, files: Sequence[tuple[Path, StoredFile]], *, anything: bool
) -> Iterator[Sent]:
    known = [each for each in archive.find(Query(study=study, exact=True), 2) if each.uid == study]
    there = {each.uid: each for each in archive.instances(study)} if known else {}
    to_send: list[tuple[Path, StoredFile]] = []
    for path, file in files:
        uid = file.instance.uid
        if known and known[0].patient != file.patient:
            words = "its study is another patient's there: restore the patient's attributes of the images"
            yield Sent(str(path), "refused", words, uid)
        elif not known and not anything:
            yield Sent(str(path), "refused", "the archive has no such study; --any sends it all the same", uid)
        elif uid in there:
            yield _already(archive, path, file, there[uid])
        else:
            to_send.append((path, file))
    if to_send:
        outcome = archive.store([file for _, file in to_send])
        listed = {each.uid for each in archive.instances(study)} if "" in outcome.values() else set()
        for path, file in to_send:
            yield _sent(path, file, outcome, listed)


def _sent(path: Path, file: StoredFile, outcome: Outcome, listed: set[str]) -> Sent:
    uid = file.instance.uid
    if reason := outcome.get(uid, "the archive gave no answer for it"):
        return Sent(str(path), "failed", reason, uid)
    if uid not in listed:
        return Sent(str(path), "failed", "the archive said that it stored it, and does not list it", uid)
    return Sent(str(path), "stored", "", uid)


def _already(archive: Archive, path: Path, file: StoredFile, there: Instance) -> Sent:
    """Compare with what the archive has under this UID: it answers success to another object, and keeps the old one."""
    received: list[bytes] = []

    def take(data: bytes) -> bool:
        received.append(data)
        return True

    uid = file.instance.uid
    try:
        archive.send([there], take)
    except PacsError:
        return Sent(str(path), "there", "not compared with this file: it cannot be fetched", uid)
    if not received:
        return Sent(str(path), "there", "not compared with this file: it cannot be fetched", uid)
    if _same(file.content, received[0]):
        return Sent(str(path), "there", "", uid)
    words = "the archive has another object with this UID, and keeps it: give a correction a new SOPInstanceUID"
    return Sent(str(path), "failed", words, uid)


def _same(one: bytes, other: bytes) -> bool:
    try:
        with refusing("unreadable", "it cannot be read", where="an instance"):
            return _content(dcmread(BytesIO(one))) == _content(dcmread(BytesIO(other)))
    except ImageRefused:
        return False


def _content(dataset: Dataset) -> Dataset:
    """Return what an object says, without the length of groups, padding and what is only about its encoding."""
    dataset.remove_private_tags()
    for element in [each for each in dataset if each.tag.element == 0 or each.tag.group == 0xFFFC]:
        del dataset[element.tag]
    plain = Dataset()
    plain.update(dataset)
    return plain
