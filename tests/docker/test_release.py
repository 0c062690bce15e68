"""``make release``: what is committed becomes the same bytes each time, signed, with where it comes from next to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from wardround_common.documents.software_release import SUMS, names_in, sign, verify
from wardround_common.errors import StorageError
from wardround_common.keys.identity import Identity

ROOT = Path(__file__).parents[2]
GIT = {
    **{f"GIT_{who}_NAME": "Makers" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "makers@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-11-28T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def run(*command: str, cwd: Path, umask: int = 0o022, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **GIT, **environment},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def checkout(place: Path, umask: int) -> Path:
    """Commit what is here, as it is now, in a repository of its own."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    place.mkdir()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes((ROOT / name).read_bytes())
            (place / name).chmod((0o777 if os.access(ROOT / name, os.X_OK) else 0o666) & ~umask)
    for command in (("init", "--quiet"), ("add", "--all", "--force"), ("commit", "--quiet", "--message", "x")):
        done = run("git", *command, cwd=place)
        assert done.returncode == 0, done.stderr
    return place


def release(place: Path, umask: int = 0o022) -> Path:
    done = run("bash", "docker/release.sh", "dist/made", cwd=place, umask=umask, PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "dist" / "made"


def contents(folder: Path) -> Mapping[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


@pytest.mark.slow
def test_two_checkouts_of_one_commit_give_one_release_byte_for_byte_and_a_changed_byte_is_found(
    tmp_path: Path,
) -> None:
    first, second = checkout(tmp_path / "a", 0o022), checkout(tmp_path / "a-longer-name", 0o077)
    made, again = release(first), release(second, umask=0o077)
    assert contents(made) == contents(again)

    (wheel,) = made.glob("*.whl")
    assert {info.date_time[:3] for info in zipfile.ZipFile(wheel).infolist()} == {(2026, 11, 28)}
    provenance = json.loads((made / "provenance.json").read_text())
    subjects = {one["name"]: one["digest"]["sha256"] for one in provenance["subject"]}
    sums = {line[66:]: line[:64] for line in (made / SUMS).read_text().splitlines()}
    assert subjects == {name: digest for name, digest in sums.items() if name != "provenance.json"}
    revision = run("git", "rev-parse", "HEAD", cwd=first).stdout.strip()
    definition = provenance["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["revision"] == revision
    assert {"name": "source", "digest": {"gitCommit": revision}} in definition["resolvedDependencies"]
    for extra in ("client", "server"):
        listed = json.loads((made / f"requirements-{extra}.cdx.json").read_text())
        locked = re.findall(r"^([a-z0-9.-]+)==", (made / f"requirements-{extra}.txt").read_text(), re.M)
        assert {one["name"] for one in listed["components"]} == {*locked, *(["torch"] if extra == "client" else [])}
    for name, content in contents(made).items():
        assert str(tmp_path).encode() not in content, name

    sign(made, Identity(bytes(range(32))))
    verify(made)
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"X")
    with pytest.raises(StorageError, match=f"{wheel.name} was changed"):
        verify(made)


def test_a_release_is_made_of_a_commit_and_replaces_none(tmp_path: Path) -> None:
    place = tmp_path / "changed"
    (place / "docker").mkdir(parents=True)
    for name in ("docker/release.sh", "pyproject.toml"):
        (place / name).write_bytes((ROOT / name).read_bytes())
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "x")):
        assert run("git", *command, cwd=place).returncode == 0
    there = run("bash", "docker/release.sh", ".", cwd=place)
    assert (there.returncode, "is there already" in there.stderr) == (1, True)
    (place / "more").touch()
    changed = run("bash", "docker/release.sh", "made", cwd=place)
    assert (changed.returncode, "the working tree has changes" in changed.stderr) == (1, True)
    assert not (place / "made").exists()
