"""Packages of plug-ins as pip leaves them in a folder, made without pip: modules, entry points and a RECORD."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from wardround_client.images import plugin_formats
from wardround_client.preparation import plugin_steps
from wardround_common.plugins import loading

NETWORK = """
from torch import nn
from wardround_client.networks import Network

def build(channels, outputs, norm, dims):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 16 * 16, outputs))

NETWORK = Network(build, "one layer")
"""
STRATEGY = """
import numpy as np
from wardround_common.section import Positive
from wardround_common.strategies.contract import Key, Strategy

def step(values, moments, parameters, mean_update):
    return None, (parameters + values["part"] * mean_update).astype(np.float32)

STRATEGY = Strategy("part", "moves by a part", step, keys=(Key("part", Positive, 0.5, "how much of it."),))
"""
POINTS = {
    "wardround.networks": {"one-layer": "{m}.net:NETWORK"},
    "wardround.strategies": {"part": "{m}.steps:STRATEGY"},
}


def fresh_site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder from which packages are installed; afterwards this process knows nothing of them."""
    folder.mkdir(exist_ok=True)
    monkeypatch.syspath_prepend(str(folder))
    before, modules = dict(loading._LOADED), set(sys.modules)
    yield folder
    forget()
    loading._LOADED.update(before)
    for name in set(sys.modules) - modules:
        if name.startswith(("made_plugin", "example_plugin")):
            del sys.modules[name]


def forget() -> None:
    """Forget the plug-ins of this process, as one that was only just started."""
    loading._LOADED.clear()
    loading._PARTS.clear()
    plugin_steps._firsts.clear()
    plugin_steps._limits.clear()
    plugin_formats._let_in.clear()


def install(
    site: Path,
    package: str = "made-plugin",
    files: Mapping[str, str] | None = None,
    points: Mapping[str, Mapping[str, str]] = POINTS,
    *,
    version: str = "1.0",
    listed: tuple[str, ...] = (),
    record: bool = True,
    direct: object = None,
) -> Path:
    """Install a package into a folder of ``sys.path``; ``{m}`` in entry points is its module.

    ``listed``: what its RECORD lists besides.
    """
    module = package.replace("-", "_")
    there = {"__init__.py": "", "net.py": NETWORK, "steps.py": STRATEGY} | dict(files or {})
    for name, text in there.items():
        (site / module / name).parent.mkdir(parents=True, exist_ok=True)
        (site / module / name).write_text(text)
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{n} = {v.format(m=module)}\n" for n, v in of.items()) for group, of in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    if direct is not None:
        (info / "direct_url.json").write_text(json.dumps(direct))
    if record:
        names = [f"{module}/{name}" for name in there] + [f"{info.name}/METADATA", f"{info.name}/RECORD", *listed]
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    return site / module
