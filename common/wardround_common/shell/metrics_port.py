"""Metrics for Prometheus, at ``http://127.0.0.1:PORT/metrics``: only on this machine's loopback address.

Who can start a program on this machine, or in this container's network, can read them; nobody else can, and there is no
option that changes that. Only what our own collectors give is there: nothing of Python, of the process, or of anybody
who uses the library besides.
"""

from __future__ import annotations

import logging
import socketserver
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from wardround_common.errors import StorageError

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PATH = "/metrics"
IDLE_S = 10.0


class Collector(Protocol):
    """Reads the current figures."""

    def collect(self) -> Iterable[Metric]:
        """Yield them."""


class MetricsPort:
    """Serves the figures of ``collectors`` until it is closed; ``port`` 0 takes a free one, which ``number`` names.

    Raises:
        StorageError: the port is taken.
    """

    def __init__(self, port: int, *collectors: Collector) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        for collector in collectors:
            self.registry.register(collector)
        try:
            self._server = _Server(port, self.registry)
        except OSError as error:
            raise StorageError(
                f"the metrics port cannot be opened ({error.strerror})",
                where=f"{LOOPBACK}:{port}",
                do="Stop whatever is using it, or name another with --metrics.",
            ) from None
        self.number: int = self._server.server_address[1]
        self.address = f"http://{LOOPBACK}:{self.number}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        self.registry = registry
        super().__init__((LOOPBACK, port), _Answer)

    def server_bind(self) -> None:
        """Bind, and do not look up this machine's name as the library's server would: that asks the network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = IDLE_S
    server_version = "wardround"
    sys_version = ""

    def do_GET(self) -> None:  # the library's name
        """Return the figures, to anyone who asked for this machine by its own name: a page in a browser does not."""
        host = self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")
        if self.path != PATH or host not in (LOOPBACK, "localhost"):
            self._send(404, b"", "text/plain")
            return
        try:
            content = generate_latest(self.server.registry)
        except Exception:
            log.exception("the metrics cannot be collected")
            self._send(500, b"", "text/plain")
            return
        self._send(200, content, CONTENT_TYPE_LATEST)

    def log_message(self, format: str, *arguments: Any) -> None:  # the library's name
        """Log nothing of requests."""

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@dataclass(frozen=True)
class Families:
    """Makes the metrics of one service, whose names all begin alike."""

    prefix: str

    def gauge(self, name: str, words: str, *labels: str) -> GaugeMetricFamily:
        """Make a gauge to which values are added by label."""
        return GaugeMetricFamily(self.prefix + name, words, labels=labels)

    def counter(self, name: str, words: str, *labels: str) -> CounterMetricFamily:
        """Make a counter to which values are added by label."""
        return CounterMetricFamily(self.prefix + name, words, labels=labels)

    def one(self, name: str, words: str, value: float) -> GaugeMetricFamily:
        """Make a gauge of one value."""
        return GaugeMetricFamily(self.prefix + name, words, value=value)
