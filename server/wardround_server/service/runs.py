"""The runs of a coordinator service: several at once, each in a thread, each surviving the process.

A run's folder has the study, one small record of its state, the notes of its secure sums, a checkpoint per round, and
in the end the model and the report. A run that was not over when the process ended goes on when the next one starts.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import logging
import shlex
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from wardround_common.errors import (
    PausedError,
    PluginError,
    RoundError,
    RoundStorageError,
    StorageError,
    StudyError,
    WardroundError,
)
from wardround_common.privacy.noisy_evaluation import noise_in_sum
from wardround_common.results import ALL, DEPLOYED, EXTERNAL, FEDERATED, TRAINED, HospitalRecord, Results, evaluate
from wardround_common.results.evaluation import recalibrated
from wardround_common.results.map_sums import figures_of_maps
from wardround_common.results.site import MapFigures, Recalibrated, SiteMetrics, Subgrouping, Withheld
from wardround_common.results.subgroup_sums import figures_by_subgroup
from wardround_common.results.unlike import UNLIKE
from wardround_common.results.withheld import figures_of_withheld
from wardround_common.storage import flush_names, no_room_is_said, read_whole, sweep, write_atomically
from wardround_common.study.file import Study, parse_canonical
from wardround_common.study.plugins import admit
from wardround_common.study.roster import Listed, keys_of
from wardround_common.study.start import Start
from wardround_common.study.sums import point_of
from wardround_common.study.words.work import said_of_classes, said_of_intensities, said_of_noise, said_of_own_parts
from wardround_common.tasks.registry import task_of
from wardround_server.report import write_report
from wardround_server.report.alarms import alarms
from wardround_server.report.tracking import Tracking, check_tracking, open_tracking
from wardround_server.rounds.approval import ApprovalBook, Approved, Standing, wait_for_approvals
from wardround_server.rounds.attendance import cut_short, gaps, missing, refusals, untested
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import (
    Answered,
    Event,
    Judged,
    RoundBegins,
    RoundEnds,
    State,
    describe_usual,
    judge_study,
    not_usual,
    run_study,
)
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.keeping import over
from wardround_server.rounds.model_file import write_model
from wardround_server.rounds.muster import muster
from wardround_server.rounds.secure_rounds import Consortium, open_consortium
from wardround_server.service.resuming import resuming
from wardround_server.service.tally import Tally
from wardround_server.state.standings import OVER, Stage, Standings

log = logging.getLogger(__name__)

ARCHIVE = "archive"
SECURE = "secure"
"""In a run's folder: the notes of its secure sums."""
STARTS = "starts"
"""In a coordinator's folder: the models that studies start from, each by its digest."""
EVALUATES = "evaluates only"
"""How a hospital stands, in rounds of training, that takes no part in them."""


@dataclass(eq=False)
class Run:
    """One run: its folder, its state, and the thread that drives it while it is driven."""

    folder: Path
    study: Study
    standing: Standings
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    tracking: Tracking | None = None
    """What follows its rounds while they are driven."""


class Runs:
    """All runs of a coordinator.

    ``open_exchange`` gives the exchange with the hospitals for a run; ``watch`` is told of each change; ``held``
    names the hospitals that begin nothing now, and why: they are asked nothing meanwhile, and those that have paused
    are waited for only if a round needs them.
    """

    def __init__(
        self,
        folder: Path,
        open_exchange: Callable[[Run], Exchange],
        watch: Callable[[Standings], None] = lambda standing: None,
        held: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._folder = folder
        self._place = shlex.quote(str(folder.parent))  # the coordinator's folder, as it is typed
        self._open_exchange = open_exchange
        self._watch = watch
        self._held = held
        self.tally = Tally()
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._past: list[Run] = []
        self._damaged: dict[str, StorageError] = {}

    def go_on(self) -> None:
        """Take up the runs of the folder; those that were not over go on. :meth:`damaged` names what cannot be read.

        What an ended process left half written in them is removed.
        """
        for path in sorted((self._folder.parent / ARCHIVE).glob("*/run.json")):
            with suppress(StorageError):  # it is over, and is kept for people
                self._past.append(_read(path.parent))
        for path in sorted(self._folder.glob("*/run.json")):
            with self._lock:
                if path.parent.name in self._runs:  # somebody began it a moment ago, and it is being written
                    continue
                sweep(path.parent)
                sweep(path.parent / SECURE)
                try:
                    run = _read(path.parent)
                except StorageError as error:
                    self._damaged[path.parent.name] = error
                    continue
                self._runs[run.standing.name] = run
            if run.standing.stage not in OVER:
                self._drive(run)

    def begin(self, study: Study, least: int | None = None) -> Standings:
        """Begin a run of a study, which gets the study's name, as soon as ``least`` hospitals approved it; None: all.

        Raises:
            PluginError: its strategy is of a plug-in that is not installed here exactly as the study names it.
            StudyError: the study lists no hospitals or fewer than ``least``, its tracking is not installed, or the
                model that it starts from is not here.
            StorageError: there is a run of that name, or the folder cannot be written.
        """
        if study.own_code:
            raise StudyError(
                f"the study names a researcher's own code, {', '.join(study.own_code)}, which no hospital has",
                do="Name what is installed at the hospitals, or simulate the study.",
            )
        if not study.roster:
            raise StudyError(
                "the study is a draft: it does not list the hospitals that may take part",
                do=f"Add them: wardround coordinator roster {self._place} >> STUDY.toml",
            )
        if least is not None and not study.aggregation.min_hospitals <= least <= len(study.roster):
            raise StudyError(
                f"the run cannot begin with {least} hospitals: the study needs {study.aggregation.min_hospitals} and "
                f"lists {len(study.roster)}"
            )
        admit(study, network=False)
        check_tracking(study)
        self._start_of(study)
        name = study.study.name
        folder = self._folder / name
        with self._lock:
            if name in self._damaged:
                raise self._damaged[name]
            if (folder / "run.json").exists():
                raise StorageError(
                    f"there is already a run called {name!r}",
                    do=f"To resume it: wardround coordinator resume {self._place} {name}. To free its name for "
                    f"another study: wardround coordinator archive {self._place} {name}",
                )
            write_atomically(folder / "study", study.canonical())
            now = datetime.now(UTC)
            rounds = study.training.rounds
            standing = Standings(
                name=name, digest=study.digest(), stage="approval", since=now, rounds=rounds, began=now, least=least
            )
            run = Run(folder, study, standing)
            self._runs[name] = run
            self._note(run)
            self._drive(run)
        return run.standing

    def resume(self, name: str, *, give_up: bool = False, finish: bool = False) -> Standings:
        """Go on with a run that failed or was stopped, from its last complete round.

        ``give_up``: a round of secure sums that was begun, and that cannot be summed again because one of its hospitals
        is gone, is left out. What its training cost in privacy stays spent. ``finish``: no further round is trained;
        the model of the last complete round is judged, and the run ends with it.

        Raises:
            StorageError: there is none of that name, or its checkpoint cannot be read.
            RoundError: it is complete, or being driven; or it has no model to be finished with.
        """
        run = self._of(name)
        with self._lock:
            if run.standing.stage not in ("failed", "stopped"):
                raise RoundError(f"the run {name!r} is {run.standing.stage}: there is nothing to resume")
            if run.thread:
                run.thread.join()
            if finish and not ((before := _before(run)) and any(record.counted for record in before.history)):
                raise RoundError(
                    f"no round of the run {name!r} counted: there is no model to finish with",
                    do=f"Resume it, or free its name: wardround coordinator archive {self._place} {name}",
                )
            run.stop.clear()
            self._stage(run, "approval", said="", give_up=give_up, finish=finish)
            self._drive(run)
        return run.standing

    def stop(self, name: str) -> Standings:
        """Stop a run after the round that it is in; what is complete is kept.

        Raises:
            StorageError: there is none of that name.
            RoundError: it is over.
        """
        run = self._of(name)
        if run.standing.stage in OVER:
            raise RoundError(f"the run {name!r} is {run.standing.stage} and cannot be stopped")
        run.stop.set()
        return run.standing

    def archive(self, name: str) -> Path:
        """Move the folder of a run that is over to the archive, so that its name is free; return where it lies then.

        Raises:
            StorageError: there is none of that name, or it cannot be moved.
            RoundError: it is not over.
        """
        with self._lock:
            run = self._over(name)
            wanted = self._folder.parent / ARCHIVE / f"{name}-{run.standing.digest[:12]}"
            places = chain([wanted], (wanted.with_name(f"{wanted.name}-{count}") for count in itertools.count(2)))
            place = next(place for place in places if not place.exists())
            with no_room_is_said(place):
                place.parent.mkdir(mode=0o700, exist_ok=True)
                run.folder.rename(place)
                flush_names(place.parent)
                flush_names(self._folder)
            self._past.append(self._runs.pop(name))
        return place

    def remove(self, name: str) -> Standings:
        """Delete the folder of a run that is over, with its model and report.

        Raises:
            StorageError: there is none of that name, or it cannot be deleted.
            RoundError: it is not over.
        """
        standing = self._over(name).standing
        place = self.archive(name)  # a deletion that is cut off leaves no run of which half is there
        with no_room_is_said(place):
            shutil.rmtree(place)
        return standing

    def stages_of(self, hospital: str, public: bytes | None = None) -> dict[str, str]:
        """Say in which stage the runs are whose study lists a hospital, by the study's digest, the oldest first.

        ``public``: its key, where that is known; a study that lists another one under its name is not its business.

        With those that were archived or removed: a hospital may not have heard yet how they ended.
        """
        runs = sorted([*self._past, *self._runs.copy().values()], key=lambda run: run.standing.began)
        return {
            run.standing.digest: run.standing.stage
            for run in runs
            if any(one.name == hospital and public in (None, one.public) for one in run.study.roster)
        }

    def not_in(self, standing: Standings) -> list[str]:
        """Name the hospitals of a run's roster that are not in it, since they had not approved when it began."""
        run = self._runs.get(standing.name)
        if run is None or standing.stage in OVER or standing.stage == "approval" or not standing.hospitals:
            return []
        return sorted({listed.name for listed in run.study.roster} - standing.hospitals.keys())

    def roster_of(self, standing: Standings) -> Sequence[Listed]:
        """Return the hospitals that the study of a run lists."""
        run = self._runs.get(standing.name)
        return run.study.roster if run else ()

    def standing_of(self, name: str) -> Standings:
        """Return the state of a run.

        Raises:
            StorageError: there is none of that name.
        """
        return self._of(name).standing

    def standings(self) -> list[Standings]:
        """Return the state of all runs, the oldest first."""
        return sorted((run.standing for run in self._runs.values()), key=lambda standing: standing.began)

    def damaged(self) -> dict[str, StorageError]:
        """Say what is the matter with the runs that cannot be read, by the names of their folders."""
        return dict(self._damaged)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until no run is being driven."""
        for run in list(self._runs.values()):
            if run.thread:
                run.thread.join(timeout)

    def _of(self, name: str) -> Run:
        if name in self._damaged:
            raise self._damaged[name]
        if name not in self._runs:
            raise no_such_run(name, self._runs)
        return self._runs[name]

    def _over(self, name: str) -> Run:
        run = self._of(name)
        if run.standing.stage not in OVER:
            raise RoundError(
                f"the run {name!r} is not over",
                do=f"Stop it first: wardround coordinator stop {self._place} {name}",
            )
        if run.thread:
            run.thread.join()
        return run

    def _start_of(self, study: Study) -> bytes | None:
        """Return the file of the model that a study starts from; None if it starts from what the seed gives."""
        start = study.model.start
        if start is None:
            return None
        path = start_file(self._folder.parent, start)
        content = read_whole(path) if path.exists() else b""
        if hashlib.sha256(content).hexdigest() != start.model:
            raise StudyError(
                f"the study starts from the model '{start.name}', which is not here",
                do=f"Give its folder: wardround coordinator run {self._place} STUDY.toml --start MODEL_FOLDER",
            )
        return content

    def _drive(self, run: Run) -> None:
        run.thread = threading.Thread(target=self._safely, args=(run,), name=f"run {run.standing.name}", daemon=True)
        run.thread.start()

    def _safely(self, run: Run) -> None:
        try:
            self._whole(run)
        except WardroundError as error:
            command = f"wardround coordinator resume {self._place} {run.standing.name}"
            hint = resuming(error, command, run.standing.round % run.standing.rounds)  # 0 after the last one
            self._ended(
                run, "stopped" if run.stop.is_set() else "failed", "\n  → ".join(filter(None, (str(error), hint)))
            )
        except Exception:
            # A bug. It must not look like a run that takes long, nor end the other runs.
            log.exception("the run %s was ended by a bug", run.standing.name)
            self._ended(run, "failed", "a bug in Wardround ended the run; the coordinator's log has it")

    def _ended(self, run: Run, stage: Stage, said: str) -> None:
        """Note that a run ended before its time; on a full disk that is reported anyway, and known until a restart,
        which continues the run.
        """
        try:
            self._stage(run, stage, said=said)
        except StorageError as error:
            log.error("the run %s ended (%s), and that cannot be written: %s", run.standing.name, said, error)

    def _whole(self, run: Run) -> None:
        study, exchange = run.study, self._open_exchange(run)
        roster = keys_of(study.roster)

        def told(standing: Mapping[str, Standing]) -> None:
            self._stage(run, "approval", hospitals=dict(standing))

        book = ApprovalBook(run.folder / "approvals")
        approved = wait_for_approvals(study, exchange, roster.keys, told, run.stop, run.standing.least, book)
        approved = replace(approved, held=self._held)
        consortium = None
        if study.aggregation.secure:
            consortium = open_consortium(run.folder / SECURE, roster, give_up=run.standing.give_up)
        before = _before(run)
        if before is not None:  # a crash may fall between a checkpoint and the note of it
            self._stage(run, run.standing.stage, round=len(before.history))
        final = before
        with open_tracking(study, run.folder, run.stop.is_set) as run.tracking:
            run.tracking.follow(before.history if before else ())
            if before is None or not (run.standing.finish or over(study, before.history)):
                watch = self._watcher(run, approved, before)
                self._muster(run, approved, "preparing", before)
                start = self._start_of(study) if before is None else None
                final = run_study(study, approved, watch, before, consortium, approved.names, approved.why_away, start)
        assert final is not None  # noqa: S101  # a run has at least one round
        write_model(run.folder / "model.safetensors", study, final.layout, final.chosen.model, final.fixed)
        unsure = self._describe(run, approved, final, consortium)
        judged = self._judge(run, approved, final, consortium)
        results = _results(run, final, judged, approved.names, unsure)
        write_report(results, run.folder)
        absent = "; ".join(filter(None, (gaps(final.history), cut_short(study, final.history), untested(judged))))
        said = "; ".join(filter(None, [absent, *alarms(results)]))
        self._stage(run, "incomplete" if absent else "done", said=said)

    def _describe(self, run: Run, approved: Approved, final: State, consortium: Consortium | None) -> tuple[str, ...]:
        """Let the hospitals add up what the model's images are like, if the study asks for it; say if it failed."""
        if not run.study.evaluation.usual:
            return ()
        try:
            self._muster(run, approved, "testing", final)
            if describe_usual(run.study, approved, final, run.folder / UNLIKE, consortium):
                return ()
        except RoundError as error:
            log.warning("%s: what its images are like is not known: %s", run.standing.name, error)
        return (not_usual(run.study),)

    def _judge(self, run: Run, approved: Approved, final: State, consortium: Consortium | None) -> Judged:
        """Let the test patients judge the model; with too few hospitals it stays unjudged, and the report says so.

        Raises:
            RoundStorageError: they are too few since disks are full: nobody was asked, and a resumed run asks them.
        """
        try:
            self._muster(run, approved, "testing", final)
            return judge_study(run.study, approved, final, consortium, approved.names, approved.why_away)
        except RoundStorageError:
            raise
        except RoundError as error:
            log.warning("%s: the model was not judged on test patients: %s", run.standing.name, error)
            return Judged(task_of(run.study.task).empty(run.study.task), (), error.what)

    def _muster(self, run: Run, approved: Approved, stage: Stage, after: State | None) -> None:
        """Wait for the hospitals that are away; those that were missing in the last round too are not waited for.

        Those that only evaluate are waited for when the model is tested.
        """
        missed = {absent.hospital for absent in after.history[-1].absent} if after and after.history else set()
        names = {name for name in approved.names if stage == "testing" or run.study.trains(name)}

        def told(away: Sequence[str]) -> None:
            of = {name: approved.why_away(name) if name in away else "here" for name in sorted(names)}
            self._stage(run, stage, hospitals=of | dict.fromkeys(approved.names - names, EVALUATES))

        self._stage(run, stage)
        paused = {name for name, why in approved.held().items() if why == PausedError.kind}
        muster(run.study, approved, names, missed | paused, told, run.stop)

    def _watcher(self, run: Run, approved: Approved, before: State | None) -> Callable[[Event], None]:
        last = before

        def watch(event: Event) -> None:
            nonlocal last
            match event:
                case RoundBegins():
                    self._muster(run, approved, "training", last)
                    here = set(approved.hospitals())
                    names = sorted(approved.names)
                    asked = {name: "asked" if name in here else approved.why_away(name) for name in names}
                    asked |= {name: EVALUATES for name in names if not run.study.trains(name)}
                    self._stage(run, "training", hospitals=asked)
                case Answered(hospital=hospital):
                    self._stage(run, "training", hospitals=run.standing.hospitals | {hospital: "answered"})
                case RoundEnds(record=record, state=state):
                    last = state
                    write_checkpoint(run.folder / "checkpoint", run.study, state)
                    # A round that was to be given up is behind us; the next one is not given up unasked.
                    said = gaps(state.history)
                    self._stage(run, "training", round=record.number, said=said, give_up=False)
                    self.tally.add(run.standing.name, record)
                    if run.tracking:
                        run.tracking.follow(state.history)
                    if run.stop.is_set() and record.number < run.study.training.rounds:
                        raise RoundError(f"the run was stopped after round {record.number}")

        return watch

    def _stage(self, run: Run, stage: Stage, **changes: object) -> None:
        since = run.standing.since if stage == run.standing.stage else datetime.now(UTC)
        run.standing = run.standing.model_copy(update={"stage": stage, "since": since, **changes})
        self._note(run)

    def _note(self, run: Run) -> None:
        write_atomically(run.folder / "run.json", run.standing.model_dump_json(indent=1).encode())
        self._watch(run.standing)


def start_file(folder: Path, start: Start) -> Path:
    """Return where a coordinator's folder keeps the model that a study starts from."""
    return folder / STARTS / f"{start.model}.safetensors"


def keep_start(folder: Path, start: Start, content: bytes) -> None:
    """Keep the model that a study starts from in a coordinator's folder.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomically(start_file(folder, start), content, private=True)


def no_such_run(name: str, known: Iterable[str]) -> StorageError:
    """Say that there is no run of a name, and which there are."""
    runs = ", ".join(sorted(known))
    return StorageError(f"there is no run {name!r}", do=f"The runs are: {runs}." if runs else "There are none yet.")


def _before(run: Run) -> State | None:
    """Return what a run has of its rounds; None before the first is complete."""
    path = run.folder / "checkpoint"
    return read_checkpoint(path, run.study) if path.exists() else None


def _read(folder: Path) -> Run:
    try:
        standing = Standings.model_validate_json((folder / "run.json").read_bytes())
        study = parse_canonical((folder / "study").read_bytes())
    except PluginError as error:  # it is whole: its task cannot be read without the plug-in
        raise StorageError(error.what, where=str(folder), do=f"{error.do} Then restart the coordinator.") from None
    except (OSError, ValidationError, StudyError):
        raise StorageError(
            "what was kept of a run is damaged",
            where=str(folder),
            do="Restore it from your backup, or move the folder away; then restart the coordinator. Others continue.",
        ) from None
    return Run(folder, study, standing)


def _results(run: Run, final: State, judged: Judged, names: frozenset[str], said: tuple[str, ...] = ()) -> Results:
    study = run.study
    evaluation: dict[str, dict[str, SiteMetrics]] = {}
    subgroups: tuple[Subgrouping, ...] = ()
    maps: MapFigures | None = None
    own: dict[str, Recalibrated] = {}
    withheld: dict[str, tuple[Withheld, ...]] = {}
    if judged.test.records:
        validation = final.chosen.validation
        threshold = point_of(study, validation) if validation else None
        of = {ALL: judged.test, TRAINED: judged.trained, EXTERNAL: judged.external}
        there = {site: sums for site, sums in of.items() if sums is not None and sums.records}
        noise = noise_in_sum(study, "test", len(names), len(names) - len(judged.absent)) if study.noised else 0.0
        of_site = {site: evaluate(study.task, sums, threshold, noise=noise) for site, sums in there.items()}
        evaluation = {FEDERATED: of_site}
        subgroups = figures_by_subgroup(study, judged.subgroups, threshold)
        maps = figures_of_maps(study, judged.maps) if judged.maps else None
        own = {ALL: recalibrated(study.task, judged.recalibrated, None)} if judged.recalibrated else {}
        if judged.withheld:
            without = [(one.known, one.sums) for one in judged.withheld]
            withheld = {ALL: figures_of_withheld(study, judged.test, without, threshold)}
    return Results(
        run=run.standing.name,
        study=study,
        study_digest=study.digest(),
        seed=study.model.seed,
        versions={package: importlib.metadata.version(package) for package in ("wardround", "flwr", "numpy")},
        devices=(),
        engine=DEPLOYED,
        started=run.standing.began,
        finished=datetime.now(UTC),
        hospitals=tuple(HospitalRecord(name=name) for name in sorted(names)),
        rounds=final.history,
        kept_rounds=final.chosen.rounds,
        evaluation=evaluation,
        subgroups=subgroups,
        maps=maps,
        recalibrated=own,
        withheld=withheld,
        notes=(*_notes(run, final, judged, names), *said),
    )


def _notes(run: Run, final: State, judged: Judged, names: frozenset[str]) -> Iterator[str]:
    if counted := final.classes:
        yield said_of_classes(run.study, counted.counts, counted.weights())
    yield from said_of_intensities(run.study, final.layout, final.chosen.model)
    if own := said_of_own_parts(run.study, simulated=False):
        yield own
    if start := run.study.model.start:
        yield f"The study started from the released model '{start.name}' (SHA-256 {start.model})."
    if absent := missing(final.history):
        yield f"Not every hospital was in every round: {absent}."
    yield from said_of_noise(run.study)
    lacking = (*refusals(final.history), cut_short(run.study, final.history), untested(judged))
    yield from (f"{why[0].upper()}{why[1:]}." for why in lacking if why)
    yield from _said_of_external(run.study, judged)
    if without := sorted({one.name for one in run.study.roster} - names):
        yield f"Of the hospitals that the study lists, these had not approved it: {', '.join(without)}."


def _said_of_external(study: Study, judged: Judged) -> Iterator[str]:
    """Say why there are no figures by themselves of the hospitals that only evaluate; nothing if there are."""
    who = ", ".join(study.evaluation.external)
    if not who or not judged.test.records:
        return
    if judged.external is None:
        yield (
            f"How the model does where it did not train ({who}) is not known by itself: a secure sum over these "
            "hospitals alone would be over too few, so that their test patients are summed together with all others."
        )
    elif not judged.external.records:
        yield (
            f"How the model does where it did not train ({who}) is not known: too few of these hospitals answered for "
            "a sum of their own."
        )
