"""What Prometheus reads at both ends: right after a real run, on this machine only, with nothing private in it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from link import until
from services import NAMES, Federation
from wardround_client.commands.hospital_cli import app as hospital_app
from wardround_client.service.metrics import LatestBudget
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import StorageError
from wardround_common.shell.metrics_port import MetricsPort
from wardround_server.commands.coordinator_cli import app as coordinator_app

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.items())] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.mark.slow
def test_the_coordinators_figures_are_those_of_the_run(federation: Federation) -> None:
    found = samples(federation.metrics("C"))
    own = "wardround_coordinator_"
    assert value(found, own + "hospitals_enrolled") == value(found, own + "hospitals_connected") == 2
    assert value(found, own + "runs", stage="done") == 1
    assert value(found, own + "run_round", run="lung") == value(found, own + "run_rounds", run="lung") == 2
    assert value(found, own + "run_absent_hospitals", run="lung") == 0
    assert value(found, own + "round_duration_seconds_count") == 2
    assert 0 < value(found, own + "round_duration_seconds_sum") < 120
    assert value(found, own + "round_duration_seconds_bucket", le="+Inf") == 2
    expiry = federation.place.certificate().not_valid_after_utc.timestamp()
    assert value(found, own + "certificate_expiry_timestamp_seconds", certificate="server") == expiry
    port = federation.service._link.port
    assert port is not None
    assert 1000 < value(found, own + "received_bytes_total") <= port.bytes_in
    for name in NAMES:
        assert value(found, own + "hospital_last_heard_timestamp_seconds", hospital=name) > expiry - 400 * 86_400


@pytest.mark.slow
def test_a_refused_request_is_counted_by_its_status(federation: Federation) -> None:
    port = federation.service._link.port
    assert port is not None
    before = port.refused[404]
    with socket.create_connection(("127.0.0.1", port.number)) as line:
        context = ssl.create_default_context(cafile=federation.place.ca_certificate)
        with context.wrap_socket(line, server_hostname="127.0.0.1") as talk:
            talk.sendall(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
            assert b"404" in talk.recv(100)
    found = samples(federation.metrics("C"))
    assert value(found, "wardround_coordinator_refused_requests_total", status="404") == before + 1
    assert ("wardround_coordinator_refused_requests_total", frozenset({("status", "200")})) not in found


@pytest.mark.slow
def test_the_hospitals_figures_are_its_own_and_say_what_its_patients_spent(federation: Federation) -> None:
    own = "wardround_hospital_"
    for name in NAMES:
        until(lambda name=name: "epsilon_spent{" in federation.metrics(name))  # type: ignore[misc]
        found = samples(federation.metrics(name))
        states = [number for (sample, _), number in found.items() if sample == own + "state"]
        assert sorted(states) == [0, 0, 0, 0, 1]
        assert value(found, own + "answers_total", kind="train", outcome="answered") == 2
        assert 0 < value(found, own + "answer_seconds_total", kind="train") < 120
        assert value(found, own + "ledger_entries") >= 6  # opened, approved, and two rounds charged and confirmed
        (spent,) = [number for (sample, _), number in found.items() if sample == own + "epsilon_spent"]
        assert 0 < spent == value(found, own + "epsilon_highest") < 8.01
        assert value(found, own + "epsilon_cap", of="patient") > 0
        assert value(found, own + "paused") == value(found, own + "fault") == 0
        expiry = federation.place.certificate().not_valid_after_utc.timestamp()
        assert value(found, own + "coordinator_certificate_expiry_timestamp_seconds") == expiry
        assert value(found, own + "received_bytes_total") > 1000 < value(found, own + "sent_bytes_total")


@pytest.mark.slow
def test_no_figure_names_a_patient_a_path_a_process_or_how_many_patients_there_are(federation: Federation) -> None:
    for who in ("C", *NAMES):
        text = federation.metrics(who)
        assert not re.search(r"python_|process_|patients", text)
        assert [word for word in (*federation.patients(), str(federation.folder), "archive") if word in text] == []


@pytest.mark.slow
def test_every_metric_of_the_documented_alerts_exists_and_every_metric_is_documented(federation: Federation) -> None:
    until(lambda: "epsilon_spent{" in federation.metrics("hospital-a"))
    there = {name for who in ("C", "hospital-a") for name, _ in samples(federation.metrics(who))}
    there |= {"wardround_coordinator_absences_total", "wardround_coordinator_refused_requests_total"}  # begin empty
    text = DOCS.read_text()
    rules = set(re.findall(r"wardround_(?:coordinator|hospital)_[a-z_]+", text.split("### Alerts")[1]))
    assert len(rules) > 10
    assert rules - there == set()
    for name in there:
        short = re.sub(r"^wardround_(coordinator|hospital)_|_(bucket|count|sum)$", "", name)
        assert f"`{short}" in text, name


def test_only_loopback_and_only_this_machines_own_name_is_answered() -> None:
    port = MetricsPort(0)
    try:
        assert port._server.server_address[0] == "127.0.0.1"
        answers = {}
        for host, path in (
            ("127.0.0.1", "/metrics"),
            ("localhost", "/metrics"),
            ("a.example", "/metrics"),
            ("127.0.0.1", "/"),
        ):
            line = http.client.HTTPConnection("127.0.0.1", port.number, timeout=30)
            line.request("GET", path, headers={"Host": f"{host}:{port.number}"})
            answers[host, path] = line.getresponse().status
            line.close()
        assert answers == {
            ("127.0.0.1", "/metrics"): 200,
            ("localhost", "/metrics"): 200,
            ("a.example", "/metrics"): 404,
            ("127.0.0.1", "/"): 404,
        }
        with pytest.raises(StorageError, match="metrics port cannot be opened"):
            MetricsPort(port.number)
    finally:
        port.close()


def test_no_command_has_an_option_for_the_address_of_the_metrics() -> None:
    for app in (hospital_app, coordinator_app):
        words = " ".join(CliRunner().invoke(app, ["serve", "--help"]).output.split())
        assert "http://127.0.0.1:PORT/metrics, on this machine only" in words
        assert re.findall(r"--metrics\S*", words) == ["--metrics"]


def test_a_collector_that_fails_ends_neither_the_port_nor_the_service() -> None:
    class Broken:
        def collect(self) -> list[object]:
            raise RuntimeError("no figures")

    port = MetricsPort(0)
    try:
        port.registry = port._server.registry = CollectorRegistry()
        port.registry.register(Broken())  # type: ignore[arg-type]
        for _ in range(2):
            line = http.client.HTTPConnection("127.0.0.1", port.number, timeout=30)
            line.request("GET", "/metrics")
            assert line.getresponse().status == 500
            line.close()
        assert threading.active_count() > 1
    finally:
        port.close()


def test_what_was_spent_is_added_up_at_most_once_a_minute_and_only_when_the_ledger_grew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    budget = LatestBudget(HospitalFolder(tmp_path), clock=lambda: now[0])

    def tries(entries: int) -> int:
        """Count how often it was tried so far: there is no policy here, so that each try is a warning."""
        assert budget.now(entries) is None
        if budget._adding:
            budget._adding.join()
        return len([each for each in caplog.records if "cannot be added up" in each.message])

    assert [tries(0), tries(3), tries(3), tries(4)] == [0, 1, 1, 1]
    now[0] = 61.0
    assert [tries(3), tries(4), tries(5)] == [1, 2, 2]


@pytest.mark.slow
def test_both_commands_serve_figures_and_log_json_until_they_are_told_to_stop(tmp_path: Path) -> None:
    made = Federation(tmp_path)
    with made:
        state = made.hospitals["hospital-a"].path
        commands = {"C": ["coordinator", "serve", "C"], "hospital-a": ["hospital", "serve", "--state", str(state)]}
        ports, running = {}, {}
        for who, command in commands.items():
            with socket.create_server(("127.0.0.1", 0)) as taken:
                ports[who] = taken.getsockname()[1]
            words = [
                sys.executable,
                "-c",
                "from wardround_common.shell.cli import main; main()",
                *command,
                "--log-json",
            ]
            with (tmp_path / f"{who}.log").open("wb") as log:
                running[who] = subprocess.Popen(
                    [*words, "--metrics", str(ports[who])], cwd=tmp_path, stdout=log, stderr=log
                )

    def figures(who: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[who]}/metrics", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    try:
        until(lambda: 'wardround_hospital_state{state="waiting"} 1.0' in figures("hospital-a"), 180)
        until(lambda: "wardround_coordinator_hospitals_connected 1.0" in figures("C"), 180)
    finally:
        for process in running.values():
            process.terminate()
            process.wait(60)
    for who in commands:
        lines = [json.loads(line) for line in (tmp_path / f"{who}.log").read_text().splitlines()]
        assert {"serving", "metrics", "stopped"} <= {line["event"] for line in lines}, lines
