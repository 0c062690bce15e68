"""The folder of a model that nobody trained: the weights that the study's seed gives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from wardround_client import networks
from wardround_client.site_shift.parts import parts_of
from wardround_common.documents.exported_run import study_toml
from wardround_common.results.model_folder import CARD, MODEL, STUDY, Card
from wardround_common.results.unlike import UNLIKE, Unlike
from wardround_common.study.file import Study
from wardround_server.rounds.model_file import write_model


def model_folder(folder: Path, of: Study, unlike: Unlike | None = None, **changes: Any) -> Path:
    """Write the folder, its card with other values where they are given."""
    network = networks.build(of)
    layout = parts_of(network, of).shared if of.training.measure else networks.layout_of(network)
    write_model(folder / MODEL, of, layout, networks.read_vector(network, layout))
    (folder / STUDY).write_bytes(study_toml(of).encode())
    named = [MODEL, STUDY]
    if unlike is not None:
        (folder / UNLIKE).write_bytes(unlike.content())
        named.append(UNLIKE)
    facts = {
        "name": "made",
        "wardround": "0.1.0",
        "engine": "in-process",
        "task": of.task.name,
        "classes": of.groups,
        "study_digest": of.digest(),
        "rounds": (1,),
        "point": None,
        "temperature": None,
        "validation_images": 0,
        "privacy": None,
        "judgement": None,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in named},
    }
    (folder / CARD).write_bytes(Card(**(facts | changes)).content())
    return folder
