"""The rooms of the coordinator's pages. What acts runs the command that does it, as its staff would."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wardround_common.audit.log import NAME as AUDIT
from wardround_common.documents.enrolment import Request, file_stem
from wardround_common.errors import MessageError, StorageError, StudyError
from wardround_common.keys.identity import fingerprint
from wardround_common.pages.audit_room import audit_room
from wardround_common.pages.child import Children
from wardround_common.pages.port import PagePort, showing
from wardround_common.pages.site import Answer, Asked, Document, Missing, Plan, Room, Shown, Went, confirm, part_of
from wardround_common.results import RoundRecord
from wardround_common.shell.service_log import Say
from wardround_common.study.file import parse_canonical, parse_study
from wardround_common.study.new import left_as_examples
from wardround_common.study.words.describe import describe
from wardround_common.tasks.registry import task_of
from wardround_server.page.curves import Curve, curves
from wardround_server.page.rounds_shown import RoundsShown
from wardround_server.page.study_form import Made, fields, made_of
from wardround_server.service.commanding import commanding
from wardround_server.service.enrolment_desk import Standing, standing
from wardround_server.service.status_words import GOING_ON, WORDS, ago, line
from wardround_server.state.coordinator_folder import UNSENT, CoordinatorFolder
from wardround_server.state.standings import CoordinatorStatus, RunSeen

REPORT = "report.html"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""Of a run: that of its study."""


class CoordinatorPages:
    """What a coordinator's pages answer, from its folder and its service."""

    def __init__(self, folder: CoordinatorFolder, children: Children, *, read_only: bool = False) -> None:
        self._folder = folder
        self._children = children
        self._read_only = read_only
        self._looked_at: dict[tuple[str, int], _Followed] = {}

    @property
    def _place(self) -> str:
        return str(self._folder.path)

    def plan(self) -> Plan:
        """Return the site's plan."""
        verify = f"wardround coordinator audit verify {shlex.quote(self._place)}"
        return Plan(
            role="coordinator",
            name=self._folder.settings.address,
            links=[("/", "Now"), ("/runs", "Runs"), ("/hospitals", "Hospitals"), ("/audit", "Audit log")],
            rooms=[
                Room("/", self._now, live=True),
                Room("/hospitals", self._hospitals),
                Room("/hospitals/look", self._look_at_request, acts=True),
                Room("/hospitals/enrol", self._enrol, acts=True),
                Room("/runs", self._runs),
                Room("/runs/look", self._look_at_study, acts=True),
                Room("/runs/begin", self._begin, acts=True),
                Room("/runs/save", self._save, acts=True),
                Room("/new", self._new),
                Room("/new", self._make, acts=True),
                Room("/runs/{run}", self._run, live=True),
                Room("/runs/{run}/report", self._report),
                Room("/runs/{run}/release", self._release, acts=True),
                Room("/runs/{run}/ask/{act}", self._ask),
                Room("/runs/{run}/{act}", self._act, acts=True),
                Room("/audit", audit_room(self._folder.path / AUDIT, verify)),
            ],
            templates=Path(__file__).parent,
            again=f"wardround coordinator page {shlex.quote(self._place)}",
            read_only=self._read_only,
            filters={"ago": lambda when, now: ago(when.isoformat(), now)},
        )

    def _now(self, asked: Asked) -> Answer:
        status = self._status()
        going = [one for one in reversed(status.runs) if one.stage in GOING_ON]
        facts = {
            "going": [(one, _line(one)) for one in going[:20]],
            "more": len(going) - len(going[:20]),
            "status": status,
            "connected": sum(one.connected for one in status.hospitals),
            "warned": [warning for one in status.hospitals for warning in one.warnings],
        }
        return Shown("now.html", {"title": "Now", **facts})

    def _hospitals(self, asked: Asked) -> Answer:
        status = self._status()
        survey = self._folder.survey()
        marks = {one.name: one.request.fingerprint for one in survey.enrolled}
        facts = {
            "status": status,
            "part": part_of(status.hospitals, asked.page()),
            "marks": marks,
            "ours": fingerprint(self._folder.identity().public),
            "damaged": [str(error) for error in survey.damaged.values()],
        }
        return Shown("hospitals.html", {"title": "Hospitals", **facts})

    def _look_at_request(self, asked: Asked) -> Answer:
        text = asked.given()
        if not text:
            return Went("/hospitals", "Choose the request's file, or paste its text.", True)
        try:
            request = Request.parse(text.encode())
            found = standing(self._folder, request, datetime.now(UTC))
        except (MessageError, StorageError) as error:
            return Went("/hospitals", f"{error.what}\n  → {error.do}" if error.do else error.what, True)
        sentences = (
            f"{request.hospital}, by a request of {request.made:%Y-%m-%d %H:%M} UTC, with the fingerprint",
            "It is already enrolled with these keys: its invitation is written again."
            if found is Standing.SAME
            else "Does the hospital read this exact fingerprint to you by telephone? If the fingerprints differ, this "
            "request is not the hospital's.",
        )
        return confirm(
            "Enrol this hospital?",
            sentences,
            "/hospitals/enrol",
            "/hospitals",
            "Write the invitation" if found is Standing.SAME else "Yes, it is the same: enrol, save the invitation",
            fingerprint=request.fingerprint,
            fields={"text": text},
        )

    def _enrol(self, asked: Asked) -> Answer:
        with tempfile.TemporaryDirectory(prefix="wardround-") as folder:
            given, written = Path(folder) / "given.request", Path(folder) / "given.invitation"
            given.write_text(asked.form.get("text", ""), newline="")
            done = self._children.run(["coordinator", "enrol", self._place, str(given), "--yes", "--out", str(written)])
            if done.code:
                return Went("/hospitals", done.said or "Not enrolled: the command was stopped.", True)
            name = f"{file_stem(Request.read(given).hospital)}.invitation"
            return Document(written.read_bytes(), "application/octet-stream", name)

    def _runs(self, asked: Asked) -> Answer:
        status = self._status()
        facts = {"part": part_of(status.runs[::-1], asked.page()), "words": WORDS}
        return Shown("runs.html", {"title": "Runs", **facts})

    def _look_at_study(self, asked: Asked) -> Answer:
        text = asked.given()
        if not text:
            return Went("/runs", "Choose the study's file, or paste its text.", True)
        try:
            return self._shown(text)
        except StudyError as error:
            return Went("/runs", str(error), True)

    def _shown(self, text: str, examples: Sequence[str] = ()) -> Answer:
        """Show a study in plain words, with its file, before anything is done with it; ``examples``: keys to be set.

        Raises:
            StudyError: it is none.
        """
        study = parse_study(text, where="the study file")
        facts = {
            "title": f"Run {study.study.name}?",
            "digest": study.digest(),
            "passages": describe(study),
            "text": text,
            "examples": " and ".join(examples),
        }
        return Shown("begin.html", facts)

    def _new(self, asked: Asked) -> Answer:
        if self._read_only:
            raise Missing("These pages are for reading only.")
        given = {"roster-names": ", ".join(sorted(self._enrolled()))}
        return Shown("new.html", self._form(given, Made()))

    def _make(self, asked: Asked) -> Answer:
        made = made_of(asked.form, self._enrolled())
        if made.text:
            given = [one.key for one in fields() if asked.form.get(one.name, "").strip()]
            return self._shown(made.text, left_as_examples(made.text, given))
        return Shown("new.html", self._form(asked.form, made), 422)

    def _form(self, given: Mapping[str, str], made: Made) -> dict[str, object]:
        facts = {"fields": fields(), "given": given, "faults": made.faults, "others": made.others}
        return {"title": "A new study", **facts}

    def _enrolled(self) -> dict[str, bytes]:
        return {one.name: one.request.public for one in self._folder.survey().enrolled}

    def _save(self, asked: Asked) -> Answer:
        text = asked.form.get("text", "")
        try:
            name = parse_study(text).study.name
        except StudyError as error:
            return Went("/runs", str(error), True)
        return Document(text.encode(), "application/toml", f"{name}.toml")

    def _begin(self, asked: Asked) -> Answer:
        with tempfile.TemporaryDirectory(prefix="wardround-") as folder:
            path = Path(folder) / "study.toml"
            path.write_text(asked.form.get("text", ""))
            return self._command(["run", self._place, str(path), "--detach"], "/runs", "Started.")

    def _run(self, asked: Asked) -> Answer:
        run, status = self._found(asked)
        followed = self._followed(run.name)
        history, drawn = followed.rounds()
        going = run.stage in GOING_ON
        facts = {
            "title": run.name,
            "run": run,
            "status": status,
            "said": _line(run),
            "going": going,
            "headline": followed.headline,
            "curves": drawn,
            "part": part_of(history[::-1], asked.page(), 25),
            "report": (self._folder.path / "runs" / run.name / REPORT).is_file(),
            "doing": part_of(sorted(run.doing.items()), 1, 200).entries,
        }
        return Shown("run.html", facts)

    def _report(self, asked: Asked) -> Answer:
        run, _ = self._found(asked)
        path = self._folder.path / "runs" / run.name / REPORT
        if not path.is_file():
            raise Missing("This run has no report yet: it is written when the run is over.")
        return Document.of(path, "report")

    def _release(self, asked: Asked) -> Answer:
        run, _ = self._found(asked)
        folder = Path(tempfile.mkdtemp(prefix=UNSENT, dir=self._folder.path))
        try:
            words = ["coordinator", "export", self._place, run.name, "--out", str(folder / run.name)]
            done = self._children.run(words + (["--public"] if asked.form.get("public") == "yes" else []))
            if done.code:
                return Went(f"/runs/{run.name}", done.said or "Not exported: the command was stopped.", True)
            packed = shutil.make_archive(str(folder / "packed"), "zip", folder, run.name)
            shutil.rmtree(folder / run.name)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return Document(b"", "application/zip", f"{run.name}.zip", file=Path(packed))

    def _ask(self, asked: Asked) -> Answer:
        run, _ = self._found(asked)
        name, act = asked.words["act"], ACTS.get(asked.words["act"])
        if act is None or self._read_only:
            raise Missing
        here = f"/runs/{run.name}"
        title = f"{act.question}: {run.name}"
        return confirm(title, (act.sentence,), f"{here}/{name}", here, act.words, risky=act.risky)

    def _act(self, asked: Asked) -> Answer:
        run, _ = self._found(asked)
        act = ACTS.get(asked.words["act"])
        if act is None:
            raise Missing
        command, *options = act.command
        to = "/runs" if act.leaves else f"/runs/{run.name}"
        return self._command([command, self._place, run.name, *options], to, act.said)

    def _command(self, words: list[str], to: str, said: str) -> Answer:
        done = self._children.run(["coordinator", *words])
        if done.code:
            return Went(to, done.said or "Nothing was changed: the command was stopped.", True)
        return Went(to, said or done.out.strip())

    def _status(self) -> CoordinatorStatus:
        with commanding(self._folder.path) as coordinator:
            return coordinator.status()

    def _found(self, asked: Asked) -> tuple[RunSeen, CoordinatorStatus]:
        name, status = asked.words["run"], self._status()
        found = [one for one in status.runs if one.name == name]
        if not found or not NAME.fullmatch(name):
            raise Missing("There is no such run.")
        return found[0], status

    def _followed(self, name: str) -> _Followed:
        """Return what is known of a run's rounds; of the runs that are looked at, the last few are remembered."""
        place = self._folder.path / "runs" / name
        study = place / "study"
        key = (name, study.stat().st_mtime_ns if study.exists() else 0)  # a name may come again, with another study
        if key not in self._looked_at:
            while len(self._looked_at) >= MOST_RUNS:
                self._looked_at.pop(next(iter(self._looked_at)), None)
            self._looked_at[key] = _Followed(RoundsShown(place / "checkpoint"), _headline(study))
        return self._looked_at[key]


MOST_RUNS = 8


@dataclass(eq=False)
class _Followed:
    """A run whose page is open: its rounds, and their curves, which are drawn anew where there is a new round."""

    shown: RoundsShown
    headline: str
    """The label of the figure that stands first in the run's task."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _of: tuple[RoundRecord, ...] | None = None
    _curves: list[Curve] = field(default_factory=list)

    def rounds(self) -> tuple[tuple[RoundRecord, ...], list[Curve]]:
        """Return the rounds so far, and their curves."""
        with self._lock:
            history = self.shown.read()
            if history is not self._of:
                self._of, self._curves = history, curves(history, self.headline)
            return history, self._curves


def _headline(study: Path) -> str:
    try:
        found = parse_canonical(study.read_bytes())
        task = task_of(found.task)
        label: str = task.metric(task.headline).label
        return label
    except (OSError, StudyError):
        return "Headline figure"


@dataclass(frozen=True)
class Act:
    """What a person may do to a run: what they are asked first, and the command that does it."""

    question: str
    sentence: str
    words: str
    """On the button."""
    command: tuple[str, ...]
    """Its name and options; coordinator and run stand between them."""
    said: str = ""
    """When it is done; empty for what the command prints."""
    risky: bool = False
    leaves: bool = False
    """Whether the run has no page afterwards."""


ACTS = {
    "stop": Act(
        "Stop",
        "It stops after its current round. Completed rounds are kept, and it can be resumed.",
        "Stop the run",
        ("stop",),
        said="It stops after its current round.",
    ),
    "resume": Act(
        "Resume",
        "It continues from its last completed round.",
        "Resume the run",
        ("resume", "--detach"),
        said="Resumed.",
    ),
    "give-up": Act(
        "Resume, and give a round up",
        "A round of secure sums that was begun and can no longer be summed is skipped. What it cost in privacy still "
        "counts.",
        "Skip that round and resume",
        ("resume", "--detach", "--give-up"),
        said="Resumed.",
        risky=True,
    ),
    "finish": Act(
        "Finish",
        "No further round is trained. The test patients judge the model of the last completed round, once, and the "
        "run ends with it: it cannot be resumed.",
        "End the run with this model",
        ("resume", "--detach", "--finish"),
        said="It ends with the model of its last completed round.",
        risky=True,
    ),
    "archive": Act(
        "Archive",
        "Its folder is set aside, and its name is free for another study.",
        "Archive the run",
        ("archive",),
        leaves=True,
    ),
    "remove": Act(
        "Remove",
        "The run is deleted for good, with its model and its report.",
        "Delete it for good",
        ("remove", "--yes"),
        risky=True,
        leaves=True,
    ),
}


def _line(run: RunSeen) -> str:
    return line(run.model_dump(mode="json"))


def coordinator_pages(
    folder: CoordinatorFolder, port: int, say: Say, *, read_only: bool = False
) -> AbstractContextManager[PagePort]:
    """Show a coordinator's pages while its service runs.

    Raises:
        StorageError: the port is taken, or this is not a coordinator's folder.
    """
    return showing(lambda children: CoordinatorPages(folder, children, read_only=read_only).plan(), port, say)
