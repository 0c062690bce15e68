"""Ask which of the pinned versions have known vulnerabilities: ``make audit``. Needs a network.

It runs pip-audit over ``docker/requirements-*.txt`` and over torch, whose build is the site's choice. Exit code 0: the
service knows every version, and none is vulnerable; 1: some are, and are listed; 2: the service was not reached or does
not know a version. Of such a version pip-audit itself says "no known vulnerabilities", and ends with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCKER = Path(__file__).parent
PIP_AUDIT = Path(sys.executable).with_name("pip-audit")


def judge(reports: Iterable[dict[str, Any]]) -> tuple[list[str], int]:
    """Return what there is to say of pip-audit's reports, and the exit code."""
    found: dict[str, None] = {}
    unknown, known = set(), set()
    for package in (package for report in reports for package in report["dependencies"]):
        if "skip_reason" in package:
            unknown.add(package["name"])
            continue
        known.add(package["name"])
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            found[f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}"] = None
    lines = [*found]
    if unknown or not known:
        named = ", ".join(sorted(unknown)[:5]) + (", …" if len(unknown) > 5 else "")
        lines.append(
            f"NOT AUDITED: the service does not know {len(unknown)} of {len(unknown | known)} packages: {named}. A "
            "mirror of the package index often has no such service: run this where the index itself is reached, or ask "
            "another by 'make audit SERVICE=osv'"
        )
    if not lines:
        lines.append(f"{len(known)} packages, no known vulnerability")
    return lines, 1 if found else 2 if unknown or not known else 0


def main() -> int:
    """Audit each file of requirements, then torch."""
    service = sys.argv[1] if len(sys.argv) > 1 else "pypi"
    torch = next(
        line for line in (DOCKER.parent / "constraints.txt").read_text().splitlines() if line.startswith("torch==")
    )
    reports = []
    for file, options in [
        *((path, ["--require-hashes"]) for path in sorted(DOCKER.glob("requirements-*.txt"))),
        ("/dev/stdin", ["--no-deps"]),
    ]:
        command = [PIP_AUDIT, "--vulnerability-service", service, "--progress-spinner", "off", "--disable-pip"]
        done = subprocess.run(  # noqa: S603  # a fixed program
            [*command, "--format", "json", *options, "--requirement", file],
            input=torch,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout.startswith("{"):
            reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
            sys.stderr.write(f"NOT AUDITED: the service '{service}' cannot be asked: {reason}\n")
            return 2
        reports.append(json.loads(done.stdout))
    lines, code = judge(reports)
    (sys.stderr if code else sys.stdout).write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
