"""A coordinator's metrics for Prometheus, read when they are requested."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from typing import get_args

from prometheus_client.metrics_core import (
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from wardround_common.errors import StorageError
from wardround_common.shell.metrics_port import Families
from wardround_server.link.superlink import SuperLink
from wardround_server.link.whereabouts import LastHeard
from wardround_server.service.runs import Runs
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import Stage

PREFIX = "wardround_coordinator_"
_ours = Families(PREFIX)
_gauge, _counter, _one = _ours.gauge, _ours.counter, _ours.one


class CoordinatorMetrics:
    """Collects from the parts of a coordinator that serves."""

    def __init__(self, folder: CoordinatorFolder, link: SuperLink, runs: Runs, heard: LastHeard) -> None:
        self._folder = folder
        self._link = link
        self._runs = runs
        self._heard = heard

    def collect(self) -> Iterator[Metric]:
        """Return the figures as they are now."""
        yield InfoMetricFamily(PREFIX.rstrip("_"), "The version that serves.", {"version": version("wardround")})
        yield from self._hospitals()
        yield from self._of_runs()
        yield from self._rounds()
        yield from self._traffic()
        expiry = _gauge("certificate_expiry_timestamp_seconds", "When a certificate expires.", "certificate")
        for whose, read in (("server", self._folder.certificate), ("authority", self._folder.authority_certificate)):
            with suppress(StorageError):  # the service says that it is away; the other figures stay
                expiry.add_metric([whose], read().not_valid_after_utc.timestamp())
        yield expiry
        free = shutil.disk_usage(self._folder.path).free
        yield _one("free_disk_bytes", "Room where the coordinator's folder lies.", free)

    def _hospitals(self) -> Iterator[Metric]:
        nodes = self._link.nodes()
        yield _one("hospitals_enrolled", "Hospitals that may connect.", len(nodes))
        yield _one("hospitals_connected", "Hospitals that were heard a moment ago.", len(self._link.here()))
        heard = _gauge("hospital_last_heard_timestamp_seconds", "When an enrolled hospital was last heard.", "hospital")
        seen = self._link.last_seen()
        for name in sorted(nodes.values()):
            if moment := self._heard.of(name, seen):
                heard.add_metric([name], datetime.fromisoformat(moment).timestamp())
        yield heard

    def _of_runs(self) -> Iterator[Metric]:
        standings = self._runs.standings()
        stages = _gauge("runs", "Runs by the stage in which they are.", "stage")
        for stage in get_args(Stage):
            stages.add_metric([stage], sum(standing.stage == stage for standing in standings))
        complete = _gauge("run_round", "The last round of a run that is complete.", "run")
        planned = _gauge("run_rounds", "The rounds that a run's study has.", "run")
        since = _gauge("run_stage_since_timestamp_seconds", "Since when a run is in its stage.", "run", "stage")
        for standing in standings:
            complete.add_metric([standing.name], standing.round)
            planned.add_metric([standing.name], standing.rounds)
            since.add_metric([standing.name, standing.stage], standing.since.timestamp())
        yield from (stages, complete, planned, since)

    def _rounds(self) -> Iterator[Metric]:
        tally = self._runs.tally
        ended = _gauge("run_last_round_timestamp_seconds", "When a run's last complete round ended.", "run")
        missing = _gauge("run_absent_hospitals", "Hospitals that were missing in a run's last complete round.", "run")
        for run, (moment, absent) in sorted(tally.last_rounds().items()):
            ended.add_metric([run], moment)
            missing.add_metric([run], absent)
        absences = _counter("absences", "Rounds in which a hospital was missing.", "hospital")
        for hospital, count in sorted(tally.absences().items()):
            absences.add_metric([hospital], count)
        refused = _counter("refused_rounds", "Rounds of a run whose sum was refused.", "run")
        for run, count in sorted(tally.refused().items()):
            refused.add_metric([run], count)
        counts, seconds = tally.durations()
        buckets = [("+Inf" if bound == float("inf") else str(bound), float(count)) for bound, count in counts]
        durations = HistogramMetricFamily(PREFIX + "round_duration_seconds", "How long complete rounds took.")
        durations.add_metric([], buckets, seconds)
        yield from (ended, missing, absences, refused, durations)

    def _traffic(self) -> Iterator[Metric]:
        port = self._link.port
        if port is None:
            return
        received = _counter("received_bytes", "Bodies of hospitals' requests that were admitted.")
        received.add_metric([], port.bytes_in)
        sent = _counter("sent_bytes", "Bodies of answers to requests.")
        sent.add_metric([], port.bytes_out)
        refused = _counter("refused_requests", "Requests that the public port refused.", "status")
        for status, count in sorted(port.refused.copy().items()):
            refused.add_metric([str(status)], count)
        yield from (received, sent, refused)
