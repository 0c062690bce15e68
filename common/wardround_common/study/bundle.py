"""``[model.bundle]``: a network as a MONAI bundle defines it, a class of MONAI's and its arguments, and no code.

The definition itself stands in the study, so that its digest covers it and a hospital needs no bundle. Of a bundle's
configuration nothing but plain values and references to them is read; what would run code is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from wardround_common.errors import CHECK_FILE, StudyError
from wardround_common.section import Section
from wardround_common.study.start import ReleaseName

BEGINNING = "bundle:"
BUNDLE_NAME = re.compile(r"bundle:[a-z0-9]+(-[a-z0-9]+)*@[0-9a-f]{12}")
"""The name of a bundle's network: what the bundle is called, and the beginning of the digest of its definition."""
CONFIGS = ("inference.json", "train.json")
"""Files below ``configs/`` that define a network, the first that is there."""
DEFINITION = "network_def"
LARGEST_BYTES = 1024 * 1024
LONGEST = 16_384
"""Characters of the arguments."""
DEEPEST, LARGEST_NUMBER = 8, 65_536
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_WORD = re.compile(r"[A-Za-z0-9 _.,:+/()-]{0,100}")
_DOWNLOADS = ("pretrained", "progress")
"""Arguments by which a class would fetch weights: never true here."""


@dataclass(frozen=True)
class Kind:
    """A class of ``monai.networks.nets`` that a bundle may name, and which arguments say what a study must fit."""

    dense: bool
    """Whether it says something of each place of an image."""
    channels: str = "in_channels"
    outputs: str = "out_channels"
    dims: int | None = None
    """What ``spatial_dims`` is where a bundle leaves it out; None: it does not."""


_OUTLINES, _LABELS = Kind(dense=True, dims=3), Kind(dense=False, outputs="num_classes")
KINDS: Mapping[str, Kind] = {
    **{name: Kind(dense=True) for name in ("UNet", "AttentionUnet", "DynUNet")},
    **dict.fromkeys(("BasicUNet", "HighResNet", "MedNeXt", "SegResNet", "VNet"), _OUTLINES),
    "FlexibleUNet": Kind(dense=True, dims=2),
    **{name: Kind(dense=False) for name in ("DenseNet", "DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264")},
    "EfficientNetBN": Kind(dense=False, outputs="num_classes", dims=2),
    "ResNet": Kind(dense=False, channels="n_input_channels", outputs="num_classes", dims=3),
    **dict.fromkeys(("SENet", "SEResNet50", "SEResNet101", "SEResNet152"), _LABELS),
}
_BY_SMALL_LETTERS = {name.lower(): name for name in KINDS}  # MONAI has some names in several spellings


def is_bundle(name: str) -> bool:
    """Tell whether a network's name is of a bundle that a study defines."""
    return BUNDLE_NAME.fullmatch(name) is not None and len(name) <= 64


def _arguments(text: str) -> str:
    """Return the arguments' one form: JSON with sorted keys.

    Raises:
        ValueError: they are no plain values.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ValueError(
            "these are the arguments of a class as a JSON object; write the section anew: wardround study bundle FOLDER"
        )
    if faults := list(_not_plain(given)):
        raise ValueError(*faults)
    if text != one_form(given):
        raise ValueError(
            "these arguments are not in their one form; write the section anew: wardround study bundle FOLDER"
        )
    return text


class Bundle(Section):
    """``[model.bundle]``: what a bundle says of its network."""

    name: ReleaseName
    """What the bundle is called, for people."""
    target: Annotated[str, Field(max_length=60)]
    """The class, one of ``monai.networks.nets``."""
    arguments: Annotated[str, Field(max_length=LONGEST), AfterValidator(_arguments)]
    """What it is built with: JSON of plain values, its keys sorted."""

    @model_validator(mode="after")
    def _is_known(self) -> Bundle:
        kind = KINDS.get(self.target)
        if kind is None:
            raise ValueError(f"[model.bundle] target = '{self.target}': {_none_of_ours()}")
        missing = [key for key in (kind.channels, kind.outputs, "spatial_dims") if self._whole(key) is None]
        if missing:
            raise ValueError(f"[model.bundle] arguments: {' and '.join(missing)} must be whole numbers from 1 on")
        if self.values.get("deep_supervision"):
            raise ValueError(
                "[model.bundle] arguments: with deep_supervision the network gives several outputs, and a study's "
                "loss is of one; write false in the bundle's network_def"
            )
        if any(self.values.get(key) for key in _DOWNLOADS):
            raise ValueError(
                "[model.bundle] arguments: pretrained weights would be fetched from a network; they come from a local "
                "file, by [model.weights]"
            )
        return self

    @property
    def values(self) -> dict[str, Any]:
        """The arguments as they are given to the class."""
        values: dict[str, Any] = json.loads(self.arguments)
        return values

    @property
    def dense(self) -> bool:
        """Whether the network says something of each place of an image."""
        return KINDS[self.target].dense

    @property
    def dims(self) -> int:
        """Of how many dimensions its images are."""
        return self._whole("spatial_dims") or 0

    @property
    def channels(self) -> int:
        """How many channels an image has."""
        return self._whole(KINDS[self.target].channels) or 0

    @property
    def outputs(self) -> int:
        """How many outputs it has."""
        return self._whole(KINDS[self.target].outputs) or 0

    @property
    def network(self) -> str:
        """The name of the network: what the bundle is called, and the beginning of the digest of its definition."""
        word = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40].strip("-") or self.target.lower()
        digest = hashlib.sha256(f"{self.target}\n{self.arguments}".encode()).hexdigest()
        return f"{BEGINNING}{word}@{digest[:12]}"

    def toml(self) -> str:
        """Return the table as written in a study file."""
        name = json.dumps(self.name, ensure_ascii=False)
        return f"[model.bundle]\nname = {name}\ntarget = \"{self.target}\"\narguments = '{self.arguments}'\n"

    def unfit(self, channels: int, outputs: int) -> Iterator[str]:
        """Say what of the network is not what a study needs."""
        kind = KINDS[self.target]
        for key, has, needs, what in (
            (kind.channels, self.channels, channels, "images have that number of channels"),
            (kind.outputs, self.outputs, outputs, "task reads that number of outputs"),
        ):
            if has != needs:
                yield (
                    f"[model.bundle] arguments: {key} is {has}, and the study needs {needs}, since its {what}; change "
                    f"the study, or {key} in the bundle's network_def, and write the section anew"
                )

    def _whole(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def one_form(values: Mapping[str, Any]) -> str:
    """Return arguments in the one form that a digest is taken of."""
    return json.dumps(values, sort_keys=True, allow_nan=False)


def read_bundle(folder: Path, config: str | None = None) -> Bundle:
    """Read the network of a MONAI bundle from its folder; nothing of it is run.

    ``config``: the file below ``configs/`` that defines it; otherwise ``inference.json`` or ``train.json``.

    Raises:
        StudyError: there is no such file, it defines no network of MONAI's, or it would need code to be run.
    """
    path = _config(folder, config)
    tables = _read(path)
    where = str(path)
    if DEFINITION not in tables:
        raise StudyError(
            f"this configuration has no {DEFINITION}", where=where, do="Name the file that has it: --config NAME."
        )
    given = tables[DEFINITION]
    for key in sorted(key for key in given if key[:1] == "_") if isinstance(given, dict) else ():
        if key not in ("_target_", "_desc_"):
            raise StudyError(f"{DEFINITION} has the key {key[:40]!r}, which MONAI's own program follows", where=where)
    definition = _resolved(given, tables, DEFINITION, where, count())
    if not isinstance(definition, dict) or not isinstance(definition.get("_target_"), str):
        raise StudyError(f"{DEFINITION} names no class as its _target_", where=where)
    arguments = {key: value for key, value in definition.items() if key not in ("_target_", "_desc_")}
    target = _target(definition["_target_"], where)
    kind = KINDS[target]
    if kind.dims is not None:
        arguments.setdefault("spatial_dims", kind.dims)
    arguments |= {key: False for key in _DOWNLOADS if key in arguments}
    if faults := list(_not_plain(arguments)):
        raise StudyError(f"{DEFINITION} of this bundle cannot be used: {'; '.join(faults)}", where=where)
    name = _name(folder)
    try:
        return Bundle(name=name, target=target, arguments=one_form(arguments))
    except ValidationError as error:
        reasons = [
            " ".join(map(str, one["ctx"]["error"].args)) if "ctx" in one else one["msg"] for one in error.errors()
        ]
        raise StudyError(f"{DEFINITION} of this bundle cannot be used: {'; '.join(reasons)}", where=where) from None


def _config(folder: Path, config: str | None) -> Path:
    configs = folder / "configs"
    do = "Name the folder of a MONAI bundle: it holds configs/inference.json or configs/train.json."
    if not folder.is_dir():
        what = "this is a file, and no bundle's folder" if folder.exists() else "there is no such folder"
        raise StudyError(what, where=str(folder), do=do)
    if config is not None:
        return configs / config
    found = [configs / name for name in CONFIGS if (configs / name).is_file()]
    if not found:
        others = sorted(path.name for path in configs.glob("*.y*ml")) if configs.is_dir() else []
        why = f"; it has {', '.join(others)}, and only JSON is read" if others else ""
        raise StudyError(f"there is neither {' nor '.join(CONFIGS)} in configs{why}", where=str(folder), do=do)
    definitions = [_read(path).get(DEFINITION) for path in found]
    stated = [path for path, definition in zip(found, definitions, strict=True) if definition is not None]
    return stated[0] if stated else found[0]


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        raise StudyError(f"this file of the bundle cannot be read: {reason}", where=str(path), do=CHECK_FILE) from None
    try:
        tables = json.loads(data) if len(data) <= LARGEST_BYTES else None
    except (ValueError, RecursionError):
        tables = None
    if not isinstance(tables, dict):
        raise StudyError("this is no configuration of a bundle: it is no JSON object", where=str(path))
    return tables


def _name(folder: Path) -> str:
    """Return what a bundle calls itself, or else what its folder is called."""
    metadata = folder / "configs" / "metadata.json"
    try:
        given = _read(metadata).get("name") if metadata.is_file() else None
    except StudyError:
        given = None
    called = given if isinstance(given, str) else ""
    called = called if called.isprintable() and 0 < len(called) <= 200 else folder.resolve().name
    return called if called.isprintable() and called else "bundle"


def _target(given: str, where: str) -> str:
    package, _, name = given.replace(":", ".").rpartition(".")
    known = _BY_SMALL_LETTERS.get(name.lower())
    if known is None or not (package == "" or package == "monai.networks.nets" or _MODULE.fullmatch(package)):
        raise StudyError(f"{DEFINITION} is {given[:80]!r}, {_none_of_ours()}", where=where)
    return known


_MODULE = re.compile(r"monai\.networks\.nets\.[a-z0-9_]+")


def _none_of_ours() -> str:
    return f"which is none of the networks of MONAI's that a bundle can be: {', '.join(sorted(KINDS))}"


def _resolved(value: Any, tables: Mapping[str, Any], key: str, where: str, seen: Iterator[int], depth: int = 0) -> Any:
    """Put what a configuration refers to, ``"@key"`` or ``"@key::0"``, into the place of the references.

    ``seen`` counts values: a few lines of lists that refer to lists would make billions of them.
    """
    if next(seen) > LONGEST:
        raise StudyError(f"{key}: what its references stand for is too much for a network", where=where)
    if depth > DEEPEST:
        raise StudyError(f"{key}: its references are nested too deep, or in a circle", where=where)
    if isinstance(value, dict):
        return {one: _resolved(of, tables, f"{key}::{one}", where, seen, depth + 1) for one, of in value.items()}
    if isinstance(value, list):
        return [_resolved(of, tables, f"{key}::{one}", where, seen, depth + 1) for one, of in enumerate(value)]
    if not isinstance(value, str) or value[:1] not in ("$", "@", "%"):
        return value
    if not re.fullmatch(r"@[A-Za-z0-9_]+([:#]{1,2}[A-Za-z0-9_]+)*", value):
        raise StudyError(
            f"{key} is {value[:80]!r}, which would run code of the bundle or read another file",
            where=where,
            do="Write its value in the place of the expression, in a copy of the bundle.",
        )
    found: Any = tables
    for step in re.split("[:#]+", value[1:]):
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise StudyError(f"{key} refers to {value!r}, which is not there", where=where) from None
    return _resolved(found, tables, key, where, seen, depth + 1)


def _not_plain(value: Any, key: str = "", depth: int = 0) -> Iterator[str]:
    """Say what of arguments is no plain value: a number, a word, or lists and tables of these."""
    if depth > DEEPEST:
        yield f"{key} is nested too deep"
    elif isinstance(value, dict):
        for one, of in value.items():
            if not _KEY.fullmatch(one):
                yield f"{key or 'it'} has the key {ascii(one)[:60]}, by which another object would be made"
            else:
                yield from _not_plain(of, f"{key}::{one}" if key else one, depth + 1)
    elif isinstance(value, list):
        for place, of in enumerate(value):
            yield from _not_plain(of, f"{key}::{place}", depth + 1)
    elif isinstance(value, str):
        if not _WORD.fullmatch(value):
            yield f"{key} is {ascii(value)[:60]}, which is no plain word"
    elif isinstance(value, int | float) and not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        yield f"{key} is {value!r:.40}, and numbers are from -{LARGEST_NUMBER} to {LARGEST_NUMBER}"
