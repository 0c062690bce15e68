"""The coordinator service: the public port, the runs, and the commands of its own staff."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from wardround_common.audit.entries import Fact
from wardround_common.audit.passage import Passage
from wardround_common.audit.recorder import SHORT
from wardround_common.audit.witness import IMAGES_AWAY, PAUSED, STANDING_HEADER, Witness
from wardround_common.control.health import DISK, Health, full_disk
from wardround_common.errors import MessageError, StorageError, WardroundError
from wardround_common.keys.certificates import validity_warning
from wardround_common.messages.run_header import APPROVED_HEADER, read_approved, write_runs
from wardround_common.record_form import state_form
from wardround_common.shell.service_log import Say
from wardround_common.storage import write_atomically
from wardround_common.study.file import parse_study
from wardround_server.link.clocks import clock_warning
from wardround_server.link.ledger_heads import LedgerHeads
from wardround_server.link.link_exchange import LinkExchange
from wardround_server.link.superlink import SuperLink
from wardround_server.link.whereabouts import LastHeard, Whereabouts, link_state
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.limits import Clock
from wardround_server.service.acquainted import Acquainted
from wardround_server.service.control import open_control
from wardround_server.service.coordinator_audit import NotedExchange, Passages, about, coordinator_log
from wardround_server.service.runs import Run, Runs
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import OVER, CoordinatorStatus, HospitalDoing, HospitalSeen, RunSeen, Standings

if TYPE_CHECKING:  # the library is needed only where figures are served
    from wardround_common.shell.metrics_port import MetricsPort

NOT_APPROVED = "not in this run: had not approved when it began"
APPROVED_LATER = "approved after the run began: is in after 'stop' and 'resume'"
OTHER_KEY = "enrolled with another key than the study lists: this run does not ask it"
LOOK_S = 2.0  # between two looks for hospitals that were enrolled or revoked, and for a renewed certificate


class Service:
    """One coordinator at work in its folder. ``say`` is told, in words for the log, what happens.

    ``invite`` returns a new address of its pages, if it shows any.

    Raises:
        StorageError: another process serves from the folder, or a newer version has written there.
    """

    def __init__(self, folder: CoordinatorFolder, say: Say, invite: Callable[[], str] | None = None) -> None:
        self._folder = folder
        self._say = say
        self._invite = invite
        self._log = coordinator_log(folder)
        self._passages = Passages(self._log)
        self._whereabouts = Whereabouts()
        self._heard = LastHeard(folder.path / "link" / "heard.json")
        self._ledgers = LedgerHeads(folder.path / "link" / "ledgers.json")
        self._witness = Witness(self._log)
        self._acquainted = Acquainted(folder.path / "link" / "acquainted.json")
        self._copies: set[tuple[str, str]] = set()
        self._link = SuperLink(folder.path / "link", passed=self._passed, heart=self._hear)
        state_form(folder.path)
        self._runs = Runs(folder.path / "runs", self._exchange, self._watch, self._passages.held.copy)
        self._told: dict[str, tuple[str, int]] = {}
        self._keys: dict[str, bytes] = {}
        self._approved: dict[str, frozenset[str]] = {}  # what each hospital says that it has approved
        self._certificate = b""
        self._troubles: dict[str, str] = {}  # what was said of each
        self._damage: set[Path] = set()  # files of hospitals that cannot be used now

    def serve(
        self,
        stop: threading.Event,
        host: str = "0.0.0.0",  # noqa: S104  # hospitals must reach it
        metrics: int | None = None,
    ) -> None:
        """Serve until ``stop`` is set. Runs that were under way continue.

        ``metrics``: the port on this machine's loopback where figures are served; 0 takes a free one.

        Raises:
            StorageError: the port or certificate cannot be used, or the audit log cannot be written or trusted.
        """
        self._log.note("service began", {"version": version("wardround")})
        settings = self._folder.settings
        self._follow()
        certificate = self._folder.certificate()  # says what is the matter, where a TLS library would not
        self._certificate = self._folder.server_certificate.read_bytes()
        self._link.serve(host, settings.port, self._folder.server_certificate, self._folder.server_key)
        health = Health(lambda: {DISK: full_disk(self._folder.path)})
        control = open_control(self._folder.path, self, health, self._invite)
        figures = None
        try:
            self._folder.forget_unsent()
            figures = self._open_metrics(metrics)
            self._say(f"serving hospitals at {settings.address}; {len(self._keys)} enrolled", event="serving")
            self._warn("certificate", validity_warning(certificate, datetime.now(UTC)))
            self._take_up()
            while not stop.wait(LOOK_S):
                self._look(self._follow)
                self._heard.keep(self._link.last_seen())
                self._ledgers.keep()
                self._look(self._renew)
                full = full_disk(self._folder.path)
                self._warn("disk", str(full) if full else None)
                self._warn("clock", clock_warning(self._link.clocks()))
        finally:
            if figures:
                figures.close()
            control.close()
            self._heard.keep(self._link.last_seen(), now=True)
            self._link.stop()
            self._ledgers.keep(now=True)
            self._log.note("service ended")

    def _look(self, look: Callable[[], None]) -> None:
        """Look for a change in the folder; one that cannot be read now is said once, and what was known stays so."""
        try:
            look()
            self._troubles.pop(look.__name__, None)
        except (StorageError, MessageError) as error:
            self._trouble(look.__name__, error)

    def _trouble(self, what: str, error: WardroundError) -> None:
        if self._troubles.get(what) != str(error):
            self._troubles[what] = str(error)
            self._say(str(error), event="damaged", level="error")

    def _warn(self, event: str, said: str | None) -> None:
        """Show a warning in the status as long as it holds, and say it once."""
        if said is None:
            self._troubles.pop(event, None)
        elif self._troubles.get(event) != said:
            self._troubles[event] = said
            self._say(said, event=event, level="warning")

    def _renew(self) -> None:
        """Use the server's certificate that is there now."""
        port = self._link.port
        self._warn("certificate", validity_warning(self._folder.certificate(), datetime.now(UTC)))
        content = self._folder.server_certificate.read_bytes()
        if port and content != self._certificate:
            port.renew(self._folder.server_certificate, self._folder.server_key)
            self._certificate = content
            self._say("the renewed certificate is in use", event="certificate")

    def _open_metrics(self, port: int | None) -> MetricsPort | None:
        if port is None:
            return None
        from wardround_common.shell.metrics_port import MetricsPort
        from wardround_server.service.metrics import CoordinatorMetrics

        figures = MetricsPort(port, CoordinatorMetrics(self._folder, self._link, self._runs, self._heard))
        self._say(f"figures for Prometheus at {figures.address}", event="metrics")
        return figures

    def _passed(self, passage: Passage) -> None:
        self._passages(passage)
        self._whereabouts(passage)

    def _take_up(self) -> None:
        """Go on with the runs that were not over, and clear away what a crash left of those that were."""
        for file in (self._folder.path / "runs").glob("*/link"):
            number = self._number(file)
            if number is None or not self._link.running(number):
                file.unlink()  # it ended a moment before the crash, or a power cut took what was not flushed of it
        self._runs.go_on()
        for name, error in self._runs.damaged().items():
            self._trouble(f"run {name}", error)
        for standing in self._runs.standings():
            if standing.stage in OVER:
                self._end(standing.name)

    def _number(self, file: Path) -> int | None:
        """Read by which number the link knows a run; None, and said, if that is damaged: the run then asks again."""
        try:
            return int(file.read_bytes())
        except (OSError, ValueError):
            what = "by which number the link knows a run cannot be read; its questions are asked again"
            self._say(what, event="damaged", level="warning", study=file.parent.name)
            return None

    def _follow(self) -> None:
        """Let in whom the folder lists now, and nobody else.

        A hospital whose own files are damaged stays what it was, and so does everybody as long as it cannot be read
        who was revoked: nobody is let in by damage, and nobody is sent away by it.
        """
        survey = self._folder.survey()
        if not self._folder.hospitals.is_dir() and self._link.nodes():
            raise StorageError(
                "the folder of the hospitals' requests is missing; meanwhile nobody is admitted or disconnected",
                where=str(self._folder.hospitals),
                do="Restore it from your backup.",
            )
        for path in self._damage - set(survey.damaged):
            self._troubles.pop(str(path), None)
        self._damage = set(survey.damaged)
        for path, error in survey.damaged.items():
            self._trouble(str(path), error)
        for name in sorted(self._link.nodes().values()):
            if not self._acquainted.same(name, survey) and self._folder.request_of(name) not in survey.damaged:
                self._link.revoke(name)
                self._keys.pop(name, None)
                self._ledgers.forget(name)
                self._say(f"{name} was revoked; its connections are closed", event="revoked", hospital=name)
        self._acquainted.keep(survey, set(self._link.nodes().values()))
        listed = {one.name: one.request.node_key.encode() for one in survey.enrolled}
        known = set(self._link.nodes().values())
        for name, key in listed.items():
            if self._keys.get(name) != key and (survey.sure or name in known):
                try:
                    self._link.enrol(name, key)
                except MessageError as error:
                    self._say(str(error), event="not-enrolled", level="warning", hospital=name)
                self._keys[name] = key

    def _hear(self, name: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Take what a hospital's heartbeat carries, and give what the answer does."""
        self._passages.hold(name, headers.get(STANDING_HEADER, ""))
        self._approved[name] = read_approved(headers.get(APPROVED_HEADER, ""))
        public = self._acquainted.public(name)
        if public:
            self._witness.hears(name, public, headers)
        self._say_of_copies(name)
        told = self._ledgers.hears(name, headers)
        return self._witness.says(name) | told | write_runs(self._runs.stages_of(name, public))

    def _say_of_copies(self, name: str) -> None:
        """Say once that a hospital's audit log is not the one that it was, or that a hospital says so of this one."""
        for which, since in (("its", self._witness.split(name)), ("ours", self._witness.told(name))):
            known = (name, which) in self._copies
            if since and not known:
                self._copies.add((name, which))
                self._say(copies(name, which), event="split", level="warning", hospital=name)
            elif known and not since:
                self._copies.discard((name, which))

    def _exchange(self, run: Run) -> Exchange:
        file = run.folder / "link"
        number = self._number(file) if file.exists() else None
        if number is None:
            number = self._link.new_run()
            write_atomically(file, str(number).encode())
        grid = self._link.grid(number, math.inf)  # how long is waited, the exchange decides
        clock = Clock(run.folder / "asked")
        held, roster = self._passages.held.copy, run.study.roster
        others = partial(self._acquainted.others, roster)
        exchange = LinkExchange(run.study, self._link, grid, clock, run.stop, held, others)
        return NotedExchange(exchange, self._log.note)

    def _end(self, run: str) -> None:
        """Forget what is out: a resumed run asks again, and is not given what it was answered before."""
        file = self._folder.path / "runs" / run / "link"
        if file.exists():
            number = self._number(file)
            if number is not None:
                self._link.end_run(number)
            file.unlink()
            Clock(file.with_name("asked")).forget()

    def _watch(self, standing: Standings) -> None:
        if standing.stage in OVER:
            self._end(standing.name)
            try:
                self._log.note("run over", about(standing) | {"stage": standing.stage, "round": standing.round})
            except StorageError as error:
                self._say(str(error), event="audit", level="warning")
        stage = (standing.stage, standing.round)
        if self._told.get(standing.name) != stage:
            self._told[standing.name] = stage
            where = (
                f" · round {standing.round} of {standing.rounds} is complete" if standing.stage == "training" else ""
            )
            self._say(
                f"{standing.name}: {standing.stage}{where}{'. ' + standing.said if standing.said else ''}",
                event=standing.stage,
                level="warning" if standing.stage in ("failed", "incomplete") else "info",
                study=standing.name,
                round=standing.round,
            )

    def run(self, study: str, where: str, least: int | None) -> Standings:
        """Begin a run of a study, given as its file's text; raises what :meth:`Runs.begin` does."""
        parsed = parse_study(study, where=where)
        start = parsed.model.start
        facts: dict[str, Fact] = {"start": start.name, "start model": start.model[:SHORT]} if start else {}
        return self._noted("run begun", self._runs.begin(parsed, least), facts)

    def resume(self, run: str, *, give_up: bool, finish: bool) -> Standings:
        """Resume a run, or end it with the model that it has."""
        return self._noted("run resumed", self._runs.resume(run, give_up=give_up, finish=finish))

    def stop(self, run: str) -> Standings:
        """Stop a run after its round."""
        return self._noted("run stopped", self._runs.stop(run))

    def archive(self, run: str) -> Path:
        """Archive a run that is over; return where it is."""
        standing = self._runs.standing_of(run)
        place = self._runs.archive(run)
        self._noted("run archived", standing)
        return place

    def remove(self, run: str) -> Standings:
        """Remove a run that is over, for good."""
        return self._noted("run removed", self._runs.remove(run))

    def _noted(self, what: str, standing: Standings, facts: Mapping[str, Fact] = MappingProxyType({})) -> Standings:
        least = {"least": standing.least} if what == "run begun" else {}
        self._log.note(what, {**about(standing), **least, **facts})
        return standing

    def status(self) -> CoordinatorStatus:
        """Return the state of its hospitals and runs."""
        seen, here = self._link.last_seen(), set(self._link.here())
        hospitals = []
        for node, name in sorted(self._link.nodes().items(), key=lambda item: item[1]):
            connected, held, heard = node in here, self._passages.held.get(name, ""), self._heard.of(name, seen)
            seen_twice = {"its": self._witness.split(name), "ours": self._witness.told(name)}
            one = HospitalSeen(
                name=name,
                state=link_state(connected=connected, held=held, last_heard=heard),
                connected=connected,
                last_heard=datetime.fromisoformat(heard) if heard else None,
                paused=held == PAUSED,
                images_away=held == IMAGES_AWAY,
                warnings=tuple(copies(name, which) for which, since in seen_twice.items() if since),
            )
            hospitals.append(one)
        away = {one.name: one for one in hospitals if not one.connected}
        runs = tuple(self._run_seen(standing, away) for standing in self._runs.standings())
        damaged = tuple(self._troubles.copy().values())
        return CoordinatorStatus(time=time.time(), hospitals=tuple(hospitals), runs=runs, damaged=damaged)

    def _run_seen(self, standing: Standings, away: Mapping[str, HospitalSeen]) -> RunSeen:
        """Return the state of a run, and what each of its hospitals does in it as far as the link knows."""
        doing = {}
        node_of = {name: node for node, name in self._link.nodes().items()}
        others = self._acquainted.others(self._runs.roster_of(standing))
        for name in standing.hospitals if standing.stage not in OVER else ():
            if name in away:
                doing[name] = HospitalDoing(state=away[name].state, since=away[name].last_heard)
            elif seen := self._whereabouts.of(name, standing.digest, self._link.sending.get(node_of.get(name, -1))):
                doing[name] = seen.shown()
        for name in self._runs.not_in(standing):
            approved = standing.digest in self._approved.get(name, ())
            doing[name] = HospitalDoing(state=APPROVED_LATER if approved else NOT_APPROVED, since=None)
        for name in others if standing.stage not in OVER else ():
            doing[name] = HospitalDoing(state=OTHER_KEY, since=None)
        return RunSeen(**dict(standing), doing=doing)


def copies(name: str, which: str) -> str:
    """Say of whom there seem to be two: of a hospital, or, as a hospital says, of this coordinator (``ours``)."""
    whose = f"the audit log of {name}" if which == "its" else f"this coordinator's audit log, says {name},"
    return (
        f"{whose} is not the one that it was: its folder was rolled back to an older copy, or two copies of it serve. "
        "Stop one of the two."
    )
