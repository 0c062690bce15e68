"""List what ships in each image with its licence and what brings it in: ``make licences`` writes docs/licences.md.

``--check`` compares instead of writing. Either ends with an error if a licence is not one of those that may be shipped
inside Apache-2.0 without conditions on Wardround itself. It reads the metadata of the packages that are installed, as
``constraints.txt`` pins them; libraries inside a wheel are listed by the package's own licence files. pip-licenses
lists an environment and not what one extra brings, so it would list the development tools as well.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import metadata, requires
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"
IMAGES = {"client": "hospital", "server": "coordinator"}
MAY_SHIP = frozenset(
    {
        *("0BSD", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU"),
        *("Apache-2.0", "LLVM-exception", "MPL-2.0", "PSF-2.0", "Zlib", "public-domain"),
    }
)
"""MPL-2.0 asks for the source of its own files only, which are shipped unchanged."""
WORDS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "BSD, Public Domain": "BSD AND public-domain",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""What older metadata says, in the words of SPDX."""
WITH_CUDA = re.compile("(nvidia|cuda)-|triton$")
"""What a build of PyTorch with CUDA brings besides; ``docker/lock.sh`` leaves it out too."""
WHY = {
    "alembic": "Flower's tables of nodes and messages, made and renewed",
    "fastapi": "Flower's Fleet API; a hospital serves nothing with it",
    "flwr": "messages, node authentication, object transfer",
    "grpcio": "commands to a service that runs, by a UNIX socket; Flower imports it too",
    "grpcio-health-checking": "the standard health service, at the same socket",
    "captum": "maps of what an answer hangs on",
    "dicomweb-client": "the hospital's archive, by DICOMweb",
    "highdicom": "DICOM segmentations, by position",
    "markdown-it-py": "a model's card as a page",
    "monai": "networks",
    "opacus": "differentially private training and its accountants",
    "pyjpegls": "JPEG-LS of the few precisions that GDCM leaves out",
    "pynetdicom": "the hospital's archive, by DICOM: an association at a time, and a receiver while it fetches",
    "python-gdcm": "JPEG, JPEG Lossless, JPEG-LS, JPEG 2000",
    "scikit-image": "steps of preparation: CLAHE, non-local means",
    "uv": "Flower installs a bundle's dependencies with it; never called here: no bundle is accepted",
    "watchfiles": "an option of uvicorn; not used",
}
HEAD = """# What ships, and under which licence

Every package of a hospital's and of a coordinator's image, with its licence (SPDX) and the direct dependency that
brings it in. `make licences` writes this page from the metadata of the pinned packages; a test compares them, and fails
at a licence that is not on the list of `docker/licences.py`. PyTorch's builds with CUDA bring NVIDIA's libraries as
well, under NVIDIA's own terms.

"""


@dataclass(frozen=True)
class Package:
    """One package of an image."""

    name: str
    licence: str
    brought_by: str


def main() -> None:
    """Write or compare the page."""
    images = {where: {package.name: package for package in packages(extra)} for extra, where in IMAGES.items()}
    everything = {name: package for of in images.values() for name, package in of.items()}
    if barred := [p for p in everything.values() if not may_ship(p.licence)]:
        sys.exit("may not ship: " + ", ".join(f"{p.name} ({p.licence or 'no licence stated'})" for p in barred))
    rows = ["| package | licence | hospital | coordinator | brought by | for |", "|---|---|---|---|---|---|"]
    for name in sorted(everything):
        there = ["yes" if name in images[where] else "" for where in IMAGES.values()]
        package = everything[name]
        rows.append(
            f"| {name} | {package.licence} | {' | '.join(there)} | {package.brought_by} | {WHY.get(name, '')} |"
        )
    text = HEAD + "\n".join(rows) + "\n"
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"docs/{PAGE.name} is not what is installed: run 'make licences' and read what changed")


def packages(extra: str) -> Iterator[Package]:
    """List what an extra of Wardround brings, nearest first."""
    seen: dict[str, set[str]] = {}
    todo = [("wardround", {extra}, "")]
    while todo:
        name, extras, by = todo.pop(0)
        new = name not in seen
        if not new and extras <= seen[name]:
            continue
        seen[name] = seen.get(name, set()) | extras
        if new and name != "wardround":
            yield Package(name, licence(name), by if by != name else "")
        for line in requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": one}) for one in (*seen[name], "")):
                plain = re.sub(r"[-_.]+", "-", needed.name).lower()
                if not WITH_CUDA.match(plain):
                    todo.append((plain, set(needed.extras), by or plain))


def licence(name: str) -> str:
    """Name a package's licence: its SPDX expression, else what older fields say."""
    said = metadata(name)
    if expression := said.get("License-Expression"):
        return str(expression)
    field = str(said.get("License") or "").strip()
    if may_ship(WORDS.get(field, field)):
        return WORDS.get(field, field)
    if field in WORDS:
        return WORDS[field]
    classes = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith("License")]
    return " OR ".join(dict.fromkeys(WORDS.get(one, one) for one in classes))


def may_ship(expression: str) -> bool:
    """Tell whether a licence expression is made of licences that may ship; of alternatives one is enough."""
    alternatives = expression.replace("(", "").replace(")", "").split(" OR ")
    return bool(expression) and any(
        all(one in MAY_SHIP for one in re.split(" AND | WITH ", each)) for each in alternatives
    )


if __name__ == "__main__":
    main()
