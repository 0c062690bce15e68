"""The files that build and start containers are hardened as docs/security.md says; needs no engine."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wardround_client.link import way_out

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
HOSPITALS = ("hospital-a", "hospital-b", "hospital-c")
Compose = dict[str, Any]


def compose() -> Compose:
    found: Compose = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return found


def own_faults(name: str, service: Compose) -> list[str]:
    """Say what of one service is not hardened."""
    mounts = [mount.split(":") for mount in service["volumes"]]
    wanted = {
        "root read-only": service.get("read_only") is True,
        "not root": service.get("user") == "10001:10001",
        "no capability": service.get("cap_drop") == ["ALL"] and not service.get("cap_add"),
        "no new privileges": "no-new-privileges:true" in service.get("security_opt", []),
        "not privileged": not service.get("privileged"),
        "bounded memory": bool(service.get("mem_limit")),
        "bounded processes": 0 < service.get("pids_limit", 0) <= 1024,
        "bounded files": 0 < service.get("ulimits", {}).get("nofile", 0) <= 20_000,
        "bounded logs": "max-size" in service.get("logging", {}).get("options", {}),
        "an init": service.get("init") is True,
        "nothing that is written is run": all("noexec" in place and "size=" in place for place in service["tmpfs"]),
        "an image that a digest can pin": re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z-]+\}", service["image"]),
        "no port on the host": "ports" not in service and "network_mode" not in service,
        "no socket of the engine": not any("docker.sock" in mount[0] for mount in mounts),
        "comes back": service.get("restart") == "unless-stopped",
    }
    return [f"{name}: {claim}" for claim, holds in wanted.items() if not holds]


def faults(found: Compose) -> list[str]:
    """Say which service is not hardened, and which could be reached."""
    said = [fault for name, service in found["services"].items() for fault in own_faults(name, service)]
    for name in HOSPITALS:
        service = found["services"][name]
        (network,) = service["networks"]
        shared = [other for other in found["services"] if network in found["services"][other]["networks"]]
        if sorted(shared) != ["coordinator", name]:
            said.append(f"{name}: alone with the coordinator")
        if found["networks"][network] != {"internal": True}:
            said.append(f"{name}: no way out")
        images = [mount for mount in service["volumes"] if "/images" in mount]
        if not images or not all(mount.endswith(":/images:ro") for mount in images):
            said.append(f"{name}: images read-only")
    return said


def test_every_container_is_hardened_and_a_hospital_is_alone_with_the_coordinator() -> None:
    found = compose()
    assert set(found["services"]) == {"coordinator", *HOSPITALS}
    assert faults(found) == []


def site(role: str) -> Compose:
    found: Compose = yaml.safe_load((DOCKER / f"compose.{role}.yaml").read_text(encoding="utf-8"))
    return found


def test_a_hospital_of_its_own_has_one_way_out_which_leads_to_the_coordinator_only() -> None:
    found = site("hospital")
    hospital, way = found["services"]["hospital"], found["services"]["way-out"]
    assert set(found["services"]) == {"hospital", "way-out"}
    assert hospital["networks"] == ["inside"]
    assert found["networks"] == {"inside": {"internal": True}, "outside": {}}
    assert hospital["environment"]["HTTPS_PROXY"] == f"http://way-out:{way_out.PORT}"
    assert hospital["environment"]["NO_PROXY"] == hospital["environment"]["no_proxy"] == ""
    assert own_faults("way-out", way) == []
    assert way["volumes"] == []  # neither images nor keys
    assert way["entrypoint"] == ["python", "-m", way_out.__name__]
    assert way["command"] == ["--to", "${COORDINATOR:-}", "--through", "${HTTPS_PROXY:-}"]
    assert str(way_out.PORT) in way["healthcheck"]["test"][-1]


@pytest.mark.parametrize("path", sorted(DOCKER.glob("compose*.yaml")), ids=lambda path: str(path.name))
def test_what_a_read_only_container_is_given_is_a_file(path: Path) -> None:
    """The engine copies any other content into the container, and refuses to where the root is read-only."""
    found: Compose = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, service in found["services"].items():
        for kind in ("configs", "secrets"):
            for given in service.get(kind, ()):
                source = found[kind][given if isinstance(given, str) else given["source"]]
                assert set(source) == {"file"}, f"{name}: {source}"
                assert (DOCKER / source["file"]).is_file()


def test_one_site_alone_is_hardened_as_the_federation_is_and_only_the_coordinator_has_a_port() -> None:
    def service(role: str) -> Compose:
        return dict(site(role)["services"][role])

    hospital, coordinator = service("hospital"), service("coordinator")
    assert own_faults("hospital", hospital) == []
    assert [mount for mount in hospital["volumes"] if mount.endswith(":/images:ro")]
    assert own_faults("coordinator", coordinator) == ["coordinator: no port on the host"]
    assert coordinator["ports"] == ["9093:9093"]
    for name, alone in (("hospital-a", hospital), ("coordinator", coordinator)):
        beside = compose()["services"][name]
        same = set(beside) & set(alone) - {"volumes", "networks"}
        assert {key: alone[key] for key in same} == {key: beside[key] for key in same}


CHANGES: dict[str, Callable[[Compose], object]] = {
    "root read-only": lambda of: of["services"]["hospital-b"].update(read_only=False),
    "not root": lambda of: of["services"]["hospital-b"].update(user="0:0"),
    "no capability": lambda of: of["services"]["hospital-b"].update(cap_add=["NET_ADMIN"]),
    "no new privileges": lambda of: of["services"]["hospital-b"].pop("security_opt"),
    "not privileged": lambda of: of["services"]["hospital-b"].update(privileged=True),
    "bounded memory": lambda of: of["services"]["hospital-b"].pop("mem_limit"),
    "bounded processes": lambda of: of["services"]["hospital-b"].pop("pids_limit"),
    "bounded files": lambda of: of["services"]["hospital-b"].pop("ulimits"),
    "bounded logs": lambda of: of["services"]["hospital-b"].pop("logging"),
    "an init": lambda of: of["services"]["hospital-b"].pop("init"),
    "nothing that is written is run": lambda of: of["services"]["hospital-b"].update(tmpfs=["/x:size=512m"]),
    "an image that a digest can pin": lambda of: of["services"]["hospital-b"].update(image="wardround-client"),
    "no port on the host": lambda of: of["services"]["hospital-b"].update(ports=["9093:9093"]),
    "no socket of the engine": lambda of: of["services"]["hospital-b"]["volumes"].append(
        "/var/run/docker.sock:/var/run/docker.sock"
    ),
    "comes back": lambda of: of["services"]["hospital-b"].pop("restart"),
    "alone with the coordinator": lambda of: of["services"]["hospital-a"].update(networks=["b"]),
    "no way out": lambda of: of["networks"].update(b={}),
    "images read-only": lambda of: of["services"]["hospital-b"].update(volumes=["data:/images"]),
}


@pytest.mark.parametrize("claim", CHANGES)
def test_a_property_that_is_taken_away_is_noticed(claim: str) -> None:
    changed = copy.deepcopy(compose())
    CHANGES[claim](changed)
    assert f"hospital-b: {claim}" in faults(changed)


def instructions(name: str) -> list[tuple[str, str]]:
    """Read a Dockerfile's instructions, continued lines joined."""
    text = (DOCKER / name).read_text(encoding="utf-8")
    lines = [line for line in re.sub(r" *\\\n *", " ", text).splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@pytest.mark.parametrize("name", ["client.Dockerfile", "server.Dockerfile"])
def test_an_image_is_not_root_says_its_health_and_carries_its_list_of_components(name: str) -> None:
    found = instructions(name)
    last = found[max(place for place, (word, _) in enumerate(found) if word == "FROM") :]
    of = {word: rest for word, rest in last if word != "COPY"}
    assert of["USER"] == "10001:10001"
    assert of["HEALTHCHECK"].split("CMD ")[1].startswith('["wardround"')
    assert json.loads(of["ENTRYPOINT"]) == ["wardround"]  # no shell in between, so SIGTERM arrives
    assert [rest for word, rest in last if word == "COPY" and "--from=sbom" in rest] == [
        "--from=sbom /opt/sbom.cdx.json /usr/share/wardround/sbom.cdx.json"
    ]
    for label in ("title", "licenses", "version", "revision", "base.name"):
        assert f"org.opencontainers.image.{label}=" in of["LABEL"]
    assert not any("pip" in rest for word, rest in last if word == "RUN")


@pytest.mark.parametrize(("name", "own", "others"), [("client", "client", "server"), ("server", "server", "client")])
def test_an_image_is_built_from_one_base_and_only_its_own_package(name: str, own: str, others: str) -> None:
    found = instructions(f"{name}.Dockerfile")
    assert not (DOCKER / f"{name}.Dockerfile").read_text(encoding="utf-8").startswith("# syntax")
    assert {rest.split(" AS ")[0] for word, rest in found if word == "FROM"} == {"${PYTHON_IMAGE}", "build"}
    assert "ADD" not in {word for word, _ in found}
    copied = {part for word, rest in found if word == "COPY" and "--from" not in rest for part in rest.split()[:-1]}
    locks = {part for part in copied if part.startswith("docker/requirements-")}
    assert copied - locks == {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "common", own}
    assert "docker/requirements-build.txt" in locks
    assert others not in copied
    installs = [rest for word, rest in found if word == "RUN" and "pip install" in rest]
    # By hashes, or the project itself; and torch, whose build is the site's choice.
    known = ("--require-hashes", "--no-build-isolation /src ", "torch==")
    assert all(any(words in rest for words in known) for rest in installs)
    assert all("--no-deps" in rest for rest in installs if "torch==" not in rest)
    built = next(rest for rest in installs if "--no-build-isolation /src " in rest)
    assert "pip check" in built
    assert "direct_url.json" in built
    assert "uninstall --yes --quiet pip" in built
    # What is compiled has no time in it: two builds hold the same files.
    assert all("--no-compile" in rest for rest in installs if "/opt/venv/bin/pip" in rest)
    assert "compileall -qq -f --invalidation-mode unchecked-hash /opt/venv/lib" in built
    listed = next(rest for rest in installs if "cyclonedx-py environment" in rest)
    assert "--output-reproducible" in listed
    assert "--validate" in listed


def test_a_hospitals_image_exposes_no_port_and_the_coordinators_exposes_one() -> None:
    assert [rest for word, rest in instructions("client.Dockerfile") if word == "EXPOSE"] == []
    assert [rest for word, rest in instructions("server.Dockerfile") if word == "EXPOSE"] == ["9093"]


def test_only_what_an_image_is_built_from_is_given_to_the_engine() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")} - {"docker/requirements-*.txt"}
    assert let_in == {"common", "client", "server", "constraints.txt", "pyproject.toml", "README.md", "LICENSE"}
    assert {"**/__pycache__", "**/*.egg-info", "**/.*"} <= set(lines)


def build(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run docker/build.sh with an engine that only writes down what it is asked."""
    engine = tmp_path / "docker"
    engine.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n', encoding="utf-8")
    engine.chmod(0o755)
    return subprocess.run(
        ["bash", str(DOCKER / "build.sh")],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("base", ["python:3.11-slim", f"python@sha256:{'a' * 63}", f"python@sha256:{'a' * 64}-x"])
def test_a_release_needs_a_base_that_is_named_by_its_digest(tmp_path: Path, base: str) -> None:
    refused = build(tmp_path, RELEASE="1", PYTHON_IMAGE=base)
    assert refused.returncode == 1
    assert "a release names its base by digest" in refused.stderr
    assert not (tmp_path / "asked").exists()


def test_both_images_are_built_from_the_base_that_was_named(tmp_path: Path) -> None:
    base = f"python:3.11-slim@sha256:{'a' * 64}"
    assert build(tmp_path, PYTHON_IMAGE=base, SERVER_IMAGE="here/s:1", CLIENT_IMAGE="here/c:1").returncode == 0
    builds = [line for line in (tmp_path / "asked").read_text().splitlines() if line.startswith("build ")]
    assert [line.split(" -t ")[1] for line in builds] == ["here/s:1 .", "here/c:1 ."]
    assert all(f"PYTHON_IMAGE={base} " in line for line in builds)


spec = importlib.util.spec_from_file_location("check_hardening", DOCKER / "check_hardening.py")
assert spec is not None
assert spec.loader is not None
check_hardening = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_hardening)

NONE = "0" * 16
STATUS = "".join(
    f"{key}:\t{value}\n"
    for key, value in {
        "Uid": "10001\t10001\t10001\t10001",
        "CapInh": NONE,
        "CapPrm": NONE,
        "CapEff": NONE,
        "CapBnd": NONE,
        "CapAmb": NONE,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }.items()
)
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue\n"
NAME_SERVER = "   0: 0B00007F:A2B9 00000000:0000 0A 00000000:00000000\n"
COORDINATOR = "   1: 00000000:2385 00000000:0000 0A 00000000:00000000\n"
CONNECTED = "   2: 020012AC:D431 030012AC:2385 01 00000000:00000000\n"


def inspected() -> dict[str, Any]:
    return {
        "Config": {"User": "10001:10001"},
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "CapAdd": None,
            "SecurityOpt": ["no-new-privileges:true"],
            "Privileged": False,
            "PidMode": "",
            "IpcMode": "private",
            "NetworkMode": "try_a",
            "Memory": 2**33,
            "PidsLimit": 512,
            "Init": True,
            "PortBindings": {},
        },
        "NetworkSettings": {"Ports": {}},
        "Mounts": [{"Source": "/somewhere/state"}],
    }


def test_a_hardened_container_passes_and_what_listens_on_others_addresses_does_not() -> None:
    quiet = HEAD + NAME_SERVER + CONNECTED
    assert check_hardening.faults("hospital-a", inspected(), STATUS, quiet) == []
    assert check_hardening.faults("coordinator", inspected(), STATUS, quiet + COORDINATOR) == []
    assert check_hardening.faults("hospital-a", inspected(), STATUS, quiet + COORDINATOR) == ["it listens on port 9093"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ReadonlyRootfs", False, "has a read-only root"),
        ("CapDrop", None, "has dropped all capabilities"),
        ("CapAdd", ["SYS_ADMIN"], "has dropped all capabilities"),
        ("SecurityOpt", [], "can gain no privileges"),
        ("Privileged", True, "is not privileged"),
        ("NetworkMode", "host", "is in no name space of the host"),
        ("Memory", 0, "has bounds on memory and processes"),
        ("PidsLimit", 0, "has bounds on memory and processes"),
        ("Init", None, "has an init"),
        ("PortBindings", {"9093/tcp": [{"HostPort": "9093"}]}, "publishes no port"),
    ],
)
def test_a_container_that_is_started_otherwise_is_found(key: str, value: object, said: str) -> None:
    found = inspected()
    found["HostConfig"][key] = value
    assert check_hardening.faults("hospital-a", found, STATUS, HEAD) == [f"it is not so that it {said}"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("10001\t10001", "0\t0", "runs as 10001:10001"),
        (f"CapBnd:\t{NONE}", "CapBnd:\t00000000a80425fb", "has dropped all capabilities"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "can gain no privileges"),
        ("Seccomp:\t2", "Seccomp:\t0", "is filtered by seccomp"),
    ],
)
def test_what_the_kernel_says_counts_and_not_only_the_engines_settings(old: str, new: str, said: str) -> None:
    status = STATUS.replace(old, new, 1)
    assert status != STATUS
    assert check_hardening.faults("hospital-a", inspected(), status, HEAD) == [f"it is not so that it {said}"]


def test_the_override_for_a_graphics_card_gives_the_card_and_takes_nothing_away() -> None:
    services = yaml.safe_load((DOCKER / "compose.cuda.yaml").read_text(encoding="utf-8"))["services"]
    assert set(services) == {"hospital"}
    assert set(services["hospital"]) == {"image", "deploy"}
    resources = services["hospital"]["deploy"]["resources"]
    assert resources == {"reservations": {"devices": [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]}}


def test_the_archive_to_try_is_reached_from_this_machine_only_and_keeps_nothing() -> None:
    found = site("pacs")
    assert set(found["services"]) == {"archive"}
    archive = found["services"]["archive"]
    assert all(port.startswith("127.0.0.1:") for port in archive["ports"])
    assert not archive.get("volumes")
    assert (archive["read_only"], archive["cap_drop"], archive["user"]) == (True, ["ALL"], "10001:10001")
    settings = json.loads((DOCKER / found["configs"]["archive"]["file"]).read_text(encoding="utf-8"))
    assert f"127.0.0.1:{settings['DicomPort']}:{settings['DicomPort']}" in archive["ports"]
    assert f"127.0.0.1:{settings['HttpPort']}:{settings['HttpPort']}" in archive["ports"]
    storage = archive["tmpfs"][0].partition(":")[0]
    assert settings["StorageDirectory"] == settings["IndexDirectory"] == storage
    # A container that is started again gets the folder as it is in the image, whatever mode is stated.
    assert f"mkdir -m 1777 {storage}\n" in archive["build"]["dockerfile_inline"]
