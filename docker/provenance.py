"""Say what a release was made from and with, as an in-toto statement with SLSA provenance: ``provenance.json``.

``python provenance.py FOLDER REVISION VERSION``, from the project's root, with the Python that built the wheel. It has
no time and no machine: the same commit and the same tools give the same bytes. ``SHA-256SUMS`` lists it, and the
signature is over that list.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

NAME = "provenance.json"
LOCKS = ("constraints.txt", "docker/requirements-build.txt", "docker/requirements-sbom.txt")
"""What decides which tools are used."""


def statement(files: dict[str, str], locks: dict[str, str], revision: str, release: str, epoch: int) -> dict[str, Any]:
    """Return the statement: https://in-toto.io/Statement/v1 with https://slsa.dev/provenance/v1.

    ``files`` and ``locks`` are SHA-256 by name, in hexadecimal digits.
    """
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(files.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:wardround:make-release:1",
                "externalParameters": {"revision": revision, "version": release, "SOURCE_DATE_EPOCH": epoch},
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": revision}},
                    *({"name": name, "digest": {"sha256": digest}} for name, digest in sorted(locks.items())),
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "urn:wardround:makers",
                    "version": {
                        "python": f"{platform.python_implementation()} {platform.python_version()}",
                        "setuptools": version("setuptools"),
                        "zlib": zlib.ZLIB_RUNTIME_VERSION,
                    },
                }
            },
        },
    }


def main() -> None:
    """Write the statement of what lies in a folder into it."""
    folder, revision, release = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    files = {path.name: _digest(path) for path in folder.iterdir()}
    said = statement(
        files, {n: _digest(Path(n)) for n in LOCKS}, revision, release, int(os.environ["SOURCE_DATE_EPOCH"])
    )
    (folder / NAME).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
