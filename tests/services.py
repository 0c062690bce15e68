"""A coordinator and two hospitals that serve in this process, over TLS on this machine, and train one small study."""

from __future__ import annotations

import io
import re
import socket
import threading
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from asking import status_of
from examples import DP, STUDY
from link import until
from wardround_client.hospital.joining import accept, begin
from wardround_client.service.hospital_service import HospitalService, open_log
from wardround_client.service.ward import plan
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.control.place import is_served
from wardround_common.documents.given_out import give_out
from wardround_common.shell.service_log import Say, ServiceLog
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed
from wardround_server.rounds import approval
from wardround_server.service.enrolment_desk import begin as begin_coordinator
from wardround_server.service.enrolment_desk import enrol
from wardround_server.service.serving import Service
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospitals

NAMES = ("hospital-a", "hospital-b")
WITHIN_S = 180.0  # on a busy machine


@dataclass
class Federation:
    """Two hospitals that approve what is proposed; each service logs in both forms, kept by its name and the form."""

    folder: Path
    logs: dict[tuple[str, str], io.StringIO] = field(default_factory=dict)
    services: dict[str, HospitalService] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Federation:
        self._open.callback(setattr, approval, "ASK_AGAIN_S", approval.ASK_AGAIN_S)
        approval.ASK_AGAIN_S = 0.05
        self.data = self.folder / "radiology-archive"
        make_hospitals(self.data, seed=1, hospitals=2, patients=36)
        now = datetime.now(UTC)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.place = CoordinatorFolder(self.folder / "C")
        begin_coordinator(self.place, ["127.0.0.1"], port, now)
        self.hospitals = {}
        for name in NAMES:
            own = self.hospitals[name] = HospitalFolder(self.folder / f"state of {name}")
            request, _ = begin(own, name, self.data / name, None, now)
            (own.path / POLICY_NAME).write_text(policy_text())
            invitation = enrol(self.place, request, now)
            give_out(self.folder / f"{name}.invitation", invitation)
            accept(own, self.folder / f"{name}.invitation")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self) -> None:
        """Let all serve until the federation is left."""
        stop, threads = threading.Event(), []

        def end() -> None:
            stop.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive(), "a service did not end when it was told to"

        self._open.callback(end)
        say = self._log("C", lambda as_json, stream: ServiceLog(as_json=as_json, stream=stream))
        self.service = Service(self.place, say)
        threads.append(threading.Thread(target=self.service.serve, args=(stop, "127.0.0.1", 0), daemon=True))
        for name, own in self.hospitals.items():
            log = partial(open_log, own)
            say = self._log(name, lambda as_json, stream, log=log: log(as_json=as_json, stream=stream))
            self.services[name] = HospitalService(own, say)
            threads.append(threading.Thread(target=self.services[name].serve, args=(stop, 0), daemon=True))
        for thread in threads:
            thread.start()
        until(lambda: is_served(self.place.path), WITHIN_S)

    def run(self, study: Study) -> dict[str, Any]:
        """Run a study that both hospitals approve, and give how it stands in the end."""
        self.service._runs.begin(study)
        for own in self.hospitals.values():
            proposals = Approvals(own.path / "studies")
            until(lambda proposals=proposals: proposals.all(), WITHIN_S)  # type: ignore[misc]
            plan(own, study).approve()
            proposals.decide(study, "approved")
        self.service._runs.wait(WITHIN_S)
        (standing,) = status_of(self.place.path)["runs"]
        return dict(standing)

    def study(self, **sections: dict[str, Any]) -> Study:
        """Return a small private study under secure sums, of both hospitals."""
        tables: dict[str, Any] = {key: dict(table) for key, table in STUDY.items()}
        tables["study"]["name"] = "lung"
        tables["task"]["classes"] = list(CLASSES)
        tables["data"] |= {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 16}
        tables["model"] |= {"network": "tiny-cnn"}
        tables["training"] |= {"rounds": 2}
        tables["privacy"] = DP | {"delta": 1e-5}
        tables["aggregation"] |= {"secure": True}
        for section, changes in sections.items():
            tables[section] = tables.get(section, {}) | changes
        tables["roster"] = [Listed.of(name, own.identity().public).model_dump() for name, own in self.hospitals.items()]
        return Study.model_validate(tables)

    def metrics(self, who: str) -> str:
        """Read what a service says at its metrics' port, as Prometheus does."""
        (address,) = re.findall(r"figures for Prometheus at (\S+)", self.logs[who, "text"].getvalue())
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  # an address of ours
            return str(answer.read().decode())

    def patients(self) -> set[str]:
        """Name the patients, as their folders and their DICOM attributes do."""
        return {place.name for name in NAMES for place in (self.data / name).iterdir() if place.is_dir()}

    def _log(self, who: str, make: Callable[[bool, io.StringIO], ServiceLog]) -> Say:
        made = []
        for form in ("text", "json"):
            self.logs[who, form] = io.StringIO()
            made.append(make(form == "json", self.logs[who, form]))
            self._open.enter_context(made[-1].hearing())

        def say(text: str, **facts: Any) -> None:
            for log in made:
                log.say(text, **facts)

        return say
