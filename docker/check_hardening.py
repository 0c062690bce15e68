"""Hold one running container against what docs/security.md says of it.

``python check_hardening.py SERVICE INSPECT STATUS SOCKETS``: the output of ``docker inspect``, and the container's
``/proc/1/status`` and ``/proc/net/tcp`` with ``/proc/net/tcp6``. Exit code 1 with each fault on a line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LISTENS = "0A"
PORTS = {"coordinator": {9093}, "way-out": {3128}}
"""What a container may listen at; every other at nothing."""
LOOPBACK_6 = "00000000000000000000000001000000"  # ::1, as /proc/net/tcp6 writes it


def faults(service: str, found: dict[str, Any], status: str, sockets: str) -> list[str]:
    """Say what is not as it must be: the engine's settings, the kernel's view of process 1, and what listens."""
    host, said = found["HostConfig"], []
    kernel = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    wanted = {
        "runs as 10001:10001": found["Config"]["User"] == "10001:10001" and kernel["Uid"].split() == ["10001"] * 4,
        "has a read-only root": host["ReadonlyRootfs"] is True,
        "has dropped all capabilities": host["CapDrop"] == ["ALL"]
        and not host["CapAdd"]
        and all(int(kernel[each], 16) == 0 for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
        "can gain no privileges": "no-new-privileges:true" in host["SecurityOpt"] and kernel["NoNewPrivs"] == "1",
        "is filtered by seccomp": kernel["Seccomp"] == "2",
        "is not privileged": host["Privileged"] is False,
        "is in no name space of the host": not any(
            host[each] == "host" for each in ("PidMode", "IpcMode", "NetworkMode")
        ),
        "has bounds on memory and processes": host["Memory"] > 0 and host["PidsLimit"] > 0,
        "has an init": host["Init"] is True,
        "publishes no port": not host["PortBindings"] and not any(found["NetworkSettings"]["Ports"].values()),
        "mounts no engine socket": not any("docker.sock" in mount["Source"] for mount in found["Mounts"]),
    }
    said += [f"it is not so that it {claim}" for claim, holds in wanted.items() if not holds]
    allowed = PORTS.get(service, set())
    said += [f"it listens on port {port}" for port in sorted(listening(sockets) - allowed)]
    return said


def listening(sockets: str) -> set[int]:
    """Return the TCP ports that others could connect to, from ``/proc/net/tcp``: not those on 127.0.0.0/8 or ::1."""
    ports = set()
    for line in sockets.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == LISTENS:
            address, port = fields[1].rsplit(":", 1)
            if not (len(address) == 8 and address.endswith("7F")) and address != LOOPBACK_6:
                ports.add(int(port, 16))
    return ports


def main() -> None:
    """Check one container; its faults go to the standard error."""
    service, *files = sys.argv[1:]
    inspect, status, sockets = (Path(file).read_text(encoding="utf-8") for file in files)
    if said := faults(service, json.loads(inspect)[0], status, sockets):
        sys.exit("\n".join(f"{service}: {fault}" for fault in said))


if __name__ == "__main__":
    main()
