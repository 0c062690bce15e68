"""The Kubernetes manifests: valid in each version that we name, and hardened as docs/security.md says. No cluster."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

PLACE = Path(__file__).parents[2] / "docker" / "kubernetes"
VERSIONS = ("1.30", "1.34", "1.37")
ROLES = ("coordinator", "hospital")
Manifest = dict[str, Any]


def manifests(role: str) -> list[Manifest]:
    """Read what a role's kustomization names, in the name space that it gives."""
    folder = PLACE / role
    top = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert {path.name for path in folder.iterdir()} == {"kustomization.yaml", *top["resources"]}
    return [found for name in top["resources"] for found in yaml.safe_load_all((folder / name).read_text("utf-8"))]


def of_kind(found: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in found if one["kind"] == kind]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("role", ROLES)
def test_every_manifest_is_valid_in_this_version(role: str, version: str) -> None:
    for manifest in manifests(role):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_key_is_not_valid() -> None:
    (workload,) = of_kind(manifests("hospital"), "StatefulSet")
    workload["spec"]["template"]["spec"]["securityContxt"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="securityContxt"):
        kubernetes_validate.validate(workload, VERSIONS[0], strict=True)


def faults(role: str, found: list[Manifest]) -> list[str]:
    """Say what is not as docs/security.md says."""
    (workload,) = of_kind(found, "StatefulSet")
    pod = workload["spec"]["template"]["spec"]
    rights = pod["securityContext"]
    containers = [*pod["initContainers"], *pod["containers"]]
    own = [container.get("securityContext", {}) for container in containers]
    (namespace,) = of_kind(found, "Namespace")
    (account,) = of_kind(found, "ServiceAccount")
    mounts = [mount for container in containers for mount in container["volumeMounts"]]
    claims = [claim["spec"]["accessModes"] for claim in workload["spec"]["volumeClaimTemplates"]]
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    wanted = {
        "the name space enforces restricted": levels.items() <= namespace["metadata"]["labels"].items(),
        "not root": rights.get("runAsNonRoot") is True and rights.get("runAsUser") == rights.get("runAsGroup") == 10001,
        "private keys stay private": rights.get("fsGroupChangePolicy") == "OnRootMismatch",
        "filtered by seccomp": rights.get("seccompProfile") == {"type": "RuntimeDefault"},
        "no more privileges": all(each.get("allowPrivilegeEscalation") is False for each in own),
        "root read-only": all(each.get("readOnlyRootFilesystem") is True for each in own),
        "no capability": all(each.get("capabilities") == {"drop": ["ALL"]} for each in own),
        "not privileged": not any(each.get("privileged") for each in own),
        "nothing of the node": not any(pod.get(each) for each in ("hostNetwork", "hostPID", "hostIPC"))
        and not any("hostPath" in volume for volume in pod["volumes"])
        and not any("hostPort" in port for container in containers for port in container.get("ports", [])),
        "no token": pod.get("automountServiceAccountToken") is False
        and account.get("automountServiceAccountToken") is False,
        "bounded memory": all("memory" in container["resources"]["limits"] for container in containers),
        "bounded temporary files": all("sizeLimit" in v["emptyDir"] for v in pod["volumes"] if "emptyDir" in v),
        "one at a time": workload["spec"]["replicas"] == 1 and claims == [["ReadWriteOncePod"]],
        "says its health": "readinessProbe" in pod["containers"][0],
        "no secret in a manifest": not of_kind(found, "Secret") and not any("env" in each for each in containers),
        "images read-only": all(mount.get("readOnly") for mount in mounts if mount["name"] == "images"),
    }
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(found, "NetworkPolicy")}
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    wanted["nothing else in or out"] = policies.pop("nothing-else", None) == deny
    labels = workload["spec"]["template"]["metadata"]["labels"]
    (policy,) = policies.values()
    wanted["the policy is of this pod"] = policy["podSelector"] == {"matchLabels": labels}
    wanted["both ways are ruled"] = policy["policyTypes"] == ["Ingress", "Egress"]
    if role == "coordinator":
        wanted["one port in"] = policy.get("ingress") == [{"ports": [{"protocol": "TCP", "port": 9093}]}]
        wanted["nothing out"] = policy.get("egress") == []
    else:
        wanted["nothing in"] = policy.get("ingress") == [] and not of_kind(found, "Service")
        wanted["out to the coordinator and the name server only"] = bool(policy.get("egress")) and all(
            map(_narrow, policy["egress"])
        )
    return [claim for claim, holds in wanted.items() if not holds]


def _narrow(rule: Manifest) -> bool:
    (to,) = rule.get("to", [{}])
    ports = {port.get("port") for port in rule.get("ports", [{}])}
    cidr = to.get("ipBlock", {}).get("cidr", "")
    if cidr:
        return cidr.endswith("/32") and ports == {9093}
    return "podSelector" in to and "namespaceSelector" in to and ports == {53}


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_is_hardened_and_reaches_only_what_it_must(role: str) -> None:
    assert faults(role, manifests(role)) == []


def pod_of(found: list[Manifest]) -> Manifest:
    pod: Manifest = of_kind(found, "StatefulSet")[0]["spec"]["template"]["spec"]
    return pod


def policy_of(found: list[Manifest]) -> Manifest:
    spec: Manifest = of_kind(found, "NetworkPolicy")[1]["spec"]
    return spec


CHANGES: dict[str, Callable[[list[Manifest]], object]] = {
    "the name space enforces restricted": lambda of: of_kind(of, "Namespace")[0]["metadata"].update(labels={}),
    "not root": lambda of: pod_of(of)["securityContext"].update(runAsUser=0),
    "private keys stay private": lambda of: pod_of(of)["securityContext"].pop("fsGroupChangePolicy"),
    "filtered by seccomp": lambda of: pod_of(of)["securityContext"].pop("seccompProfile"),
    "no more privileges": lambda of: pod_of(of)["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "root read-only": lambda of: pod_of(of)["initContainers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    "no capability": lambda of: pod_of(of)["containers"][0]["securityContext"]["capabilities"].update(
        add=["SYS_PTRACE"]
    ),
    "not privileged": lambda of: pod_of(of)["containers"][0]["securityContext"].update(privileged=True),
    "nothing of the node": lambda of: pod_of(of)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "no token": lambda of: pod_of(of).pop("automountServiceAccountToken"),
    "bounded memory": lambda of: pod_of(of)["containers"][0]["resources"]["limits"].pop("memory"),
    "bounded temporary files": lambda of: pod_of(of)["volumes"].append({"name": "x", "emptyDir": {}}),
    "one at a time": lambda of: of_kind(of, "StatefulSet")[0]["spec"].update(replicas=2),
    "says its health": lambda of: pod_of(of)["containers"][0].pop("readinessProbe"),
    "no secret in a manifest": lambda of: of.append({"kind": "Secret"}),
    "images read-only": lambda of: pod_of(of)["containers"][0]["volumeMounts"].append({"name": "images"}),
    "nothing else in or out": lambda of: of_kind(of, "NetworkPolicy")[0]["spec"].update(egress=[{}]),
    "the policy is of this pod": lambda of: policy_of(of).update(podSelector={"matchLabels": {"app": "other"}}),
    "both ways are ruled": lambda of: policy_of(of).update(policyTypes=["Ingress"]),
    "nothing in": lambda of: policy_of(of).update(ingress=[{}]),
    "out to the coordinator and the name server only": lambda of: policy_of(of)["egress"][0]["to"][0]["ipBlock"].update(
        cidr="0.0.0.0/0"
    ),
}


@pytest.mark.parametrize("claim", CHANGES)
def test_a_property_that_is_taken_away_is_noticed(claim: str) -> None:
    changed = copy.deepcopy(manifests("hospital"))
    CHANGES[claim](changed)
    assert faults("hospital", changed) == [claim]


@pytest.mark.parametrize(
    ("key", "rules", "claim"),
    [
        ("ingress", [{}], "one port in"),
        ("ingress", [{"ports": [{"protocol": "TCP", "port": 22}]}], "one port in"),
        ("egress", [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}], "nothing out"),
    ],
)
def test_a_coordinator_that_could_be_reached_or_reach_otherwise_is_noticed(
    key: str, rules: list[Manifest], claim: str
) -> None:
    changed = manifests("coordinator")
    policy_of(changed)[key] = rules
    assert faults("coordinator", changed) == [claim]


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_waits_for_people_until_it_was_set_up_and_serves_what_the_image_has(role: str) -> None:
    pod = pod_of(manifests(role))
    waits, serves = pod["initContainers"][0], pod["containers"][0]
    image = {"coordinator": "wardround-server", "hospital": "wardround-client"}[role]
    assert waits["image"] == serves["image"] == image
    complete = {"coordinator": "/data/coordinator.toml", "hospital": "/state/coordinator.invitation"}[role]
    assert waits["command"] == ["sh", "-c", f"until test -f {complete}; do sleep 2; done"]
    dockerfile = (PLACE.parent / f"{image.removeprefix('wardround-')}.Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^CMD (.*)$", dockerfile, re.M)[1] == str(serves["args"]).replace("'", '"')  # type: ignore[index]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl builds kustomizations, and is not here")
def test_kustomize_builds_each_and_gives_the_graphics_card_to_the_hospital() -> None:
    def built(name: str) -> list[Manifest]:
        done = subprocess.run(["kubectl", "kustomize", str(PLACE / name)], capture_output=True, text=True, check=True)
        return list(yaml.safe_load_all(done.stdout))

    for role in ROLES:
        assert faults(role, built(role)) == []
        assert {one["metadata"].get("namespace", f"wardround-{role}") for one in built(role)} == {f"wardround-{role}"}
    with_card = built("hospital-gpu")
    assert faults("hospital", with_card) == []
    container = pod_of(with_card)["containers"][0]
    assert (container["image"], container["resources"]["limits"]["nvidia.com/gpu"]) == ("wardround-client-cuda", 1)
