"""A work list is fetched: each instance is accepted, refused or missing, and counted against the archive.

Nothing has to be remembered to continue: what is there is there whole, under a name that follows from its UID, and the
archive is asked again what a study holds. One study that fails stops no other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wardround_client.pacs.archive import Archive, Study, checked
from wardround_client.pacs.taking import Refused, examine, identify, keep, place_of, sweep_images
from wardround_client.pacs.worklist import LABEL, LabelTable, Line
from wardround_client.state.state_folder import default_state
from wardround_common.counting import count
from wardround_common.errors import FullDiskError, PacsError, QuestionError, StorageError
from wardround_common.storage import alone_in, no_room_is_said, write_atomically

MOST_STUDIES = 1000
"""Of one line, such as of one patient."""
GIVE_UP = 3
"""Lines one after the other to which the archive gives no answer, before the others are left for the next time. One
that it refuses is an answer: a study whose files are damaged there must not keep all others here from coming."""
REPORT = "fetched.json"
_NOT_LISTED = "the archive counts it, and does not list it"


@dataclass(frozen=True)
class Fetched:
    """What became of one study."""

    line: int
    study: str = field(repr=False)
    counted: int
    """How many instances the archive counts: by itself, or as it lists them, whichever is more."""
    there: int = 0
    """Fetched before."""
    accepted: int = 0
    left: dict[str, int] = field(default_factory=dict)
    """Kinds that are neither image nor outline, and stay in the archive, by their words."""
    refused: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict, repr=False)
    """SOPInstanceUID to what became of it, where it is not here."""

    @property
    def problem(self) -> str:
        """Say what is not as it should be; empty where the study is here whole."""
        if self.missing:
            words, _ = max(self.missing.items(), key=lambda item: item[1])
            return f"missing: {sum(self.missing.values()):,} of {count(self.counted, 'instance')} ({words})"
        if not self.counted:
            return "the archive lists it, and has no instance of it"
        if not self.there + self.accepted:
            kinds = ", ".join([*self.left, *self.refused])
            return f"no image that can be taken in among {count(self.counted, 'instance')}: {kinds}"
        if self.refused:
            kinds = ", ".join(f"{words} ({count})" for words, count in self.refused.items())
            return f"refused: {sum(self.refused.values()):,} of {count(self.counted, 'instance')}, {kinds}"
        return ""


@dataclass
class Report:
    """What became of a work list."""

    lines: int
    studies: list[Fetched] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    """Line to why it brought no study."""
    not_tried: int = 0
    contradicted: int = 0
    """Studies to which two lines give two labels; they have none."""
    labels: str = ""
    """Where the table of labels was written."""

    @property
    def complete(self) -> bool:
        """Whether every line brought its studies whole."""
        partly = self.failed or self.not_tried or self.contradicted
        return not partly and not any(study.missing or study.problem for study in self.studies)

    def counts(self) -> dict[str, int]:
        """Return sums over all studies: they add up to what the archive counts."""
        total: Counter[str] = Counter(
            dict.fromkeys(("counted", "there", "accepted", "left in the archive", "refused", "missing"), 0)
        )
        for each in self.studies:
            total["counted"] += each.counted
            total["there"] += each.there
            total["accepted"] += each.accepted
            total["left in the archive"] += sum(each.left.values())
            total["refused"] += sum(each.refused.values())
            total["missing"] += sum(each.missing.values())
        return dict(total)


def fetch(
    archive: Archive,
    lines: Sequence[Line],
    columns: Sequence[str],
    into: Path,
    *,
    label: str = LABEL,
    labels: Path | None = None,
    told: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Fetch a work list into a folder, and write the table of its labels; ``told`` hears of each line that is done.

    Raises:
        LabelError: a table of labels is there that no fetch wrote.
        StorageError: the disk is full, or the folder cannot be written; what came is kept.
    """
    state = default_state(into) / "fetch"
    with no_room_is_said(into / REPORT):
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
    report = Report(len(lines))
    with alone_in(state):
        table = None
        if label in columns:
            table = LabelTable.begin(labels or into / "labels.csv", state, columns, label)
        sweep_images(into)
        try:
            with archive.opened() as asked:
                for line in _worth_trying(asked, lines, report):
                    for study in _fetched(asked, line, into, report):
                        if table is not None and study.there + study.accepted and (word := line.rest.get(label, "")):
                            table.add(study.study, word, line.rest)
                    told(report)
        finally:
            if table is not None and table.rows:
                table.write()
                report.contradicted, report.labels = len(table.contradicted), str(table.path)
            _keep_report(state / REPORT, report)
    return report


def _worth_trying(archive: Archive, lines: Sequence[Line], report: Report) -> Iterator[Line]:
    """Go through the lines, until several bring nothing and the archive is away, or nothing came at all."""
    in_vain = 0
    for index, line in enumerate(lines):
        if in_vain >= GIVE_UP and not (any(study.accepted for study in report.studies) and _answers(archive)):
            report.not_tried = len(lines) - index
            return
        yield line
        in_vain = in_vain + 1 if report.failed.get(line.number, "").startswith(_AWAY) else 0


def _answers(archive: Archive) -> bool:
    try:
        archive.echo()
    except PacsError:
        return False
    return True


_AWAY = "the archive could not be asked: "


def _fetched(archive: Archive, line: Line, into: Path, report: Report) -> list[Fetched]:
    """Fetch what one line names, and put it into the report; what fails is said there."""
    found: list[Fetched] = []
    try:
        studies = checked(archive.find(line.query, MOST_STUDIES), line.query)
        if not studies:
            report.failed[line.number] = "the archive has no such study"
        for study in studies:
            found.append(fetch_study(archive, line.number, study, into))
            report.studies.append(found[-1])
    except PacsError as error:
        before = "" if isinstance(error, QuestionError) else _AWAY
        report.failed[line.number] = f"{before}{error.what}" + (f". {error.do}" if error.do else "")
    return found


def fetch_study(archive: Archive, line: int, study: Study, into: Path) -> Fetched:
    """Fetch what is not there yet of one study.

    Raises:
        PacsError: the archive cannot be asked.
        StorageError: a file cannot be written.
    """
    listed = archive.instances(study.uid)
    counted = max(len(listed), study.instances or 0)
    left = Counter(words for each in listed if (words := each.left))
    images = {each.uid: each for each in listed if not each.left}
    there = {uid for uid, each in images.items() if place_of(each, into).exists()}
    wanted = [each for uid, each in images.items() if uid not in there]
    verdicts: dict[str, Refused | None] = {}

    def take(data: bytes) -> bool:
        uid = identify(data)[2]
        asked = images.get(uid)
        if asked is None:
            return False
        if uid not in there and verdicts.get(uid, _NOT_YET) is not None:
            verdict = examine(data, asked)
            if verdict is None:
                keep(data, asked, into)
            verdicts[uid] = verdict
        return True

    said = archive.send(wanted, take) if wanted else ""
    absent = [each for each in wanted if each.uid not in verdicts]
    missing = Counter({said or "the archive said that it sent it, and it did not come": len(absent)} if absent else {})
    if counted > len(listed):
        missing[_NOT_LISTED] += counted - len(listed)
    outcomes = {each.uid: f"left: {each.left}" for each in listed if each.left}
    outcomes |= {uid: f"refused: {verdict.words}" for uid, verdict in verdicts.items() if verdict is not None}
    outcomes |= {each.uid: f"missing: {said}" for each in absent}
    return Fetched(
        line,
        study.uid,
        counted,
        there=len(there),
        accepted=sum(verdict is None for verdict in verdicts.values()),
        left=dict(left),
        refused=dict(Counter(verdict.words for verdict in verdicts.values() if verdict is not None)),
        missing=dict(missing),
        outcomes=outcomes,
    )


_NOT_YET = Refused("", "")


def _keep_report(path: Path, report: Report) -> None:
    """Keep the last report for its owner only: it names studies."""
    text = json.dumps(asdict(report), indent=1)
    try:
        write_atomically(path, text.encode(), private=True)
    except FullDiskError:
        return  # what filled the disk is said already
    except StorageError:
        return
