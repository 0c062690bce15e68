"""What a MONAI bundle says besides its network: metadata, how to run it, and the steps around the network.

The form is that of MONAI's bundle specification. The network is TorchScript: of the study's networks several are
MONAI's with layers exchanged, one is no network of MONAI's at all, and none of them would be built again by a class's
name and arguments alone.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any

from wardround_client.tasks.risk import USUAL
from wardround_common.results.model_folder import Card
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of
from wardround_common.tasks.risk import Risk

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
STEPS = "around_network"
TASKS = ("classification", "segmentation", "risk")
"""Of which the steps around the network are known."""
READERS = {"nibabel": "NIfTI", "pydicom": "DICOM", "pillow": "PNG, JPEG"}
BAGGED = "What is outside knows no record of several images; ask the model with 'wardround predict MODEL FOLDER'."
GENERATES = "This model makes images and answers nothing; draw from it with 'wardround generate MODEL --out DIR'."
Table = dict[str, Any]


def why_not(study: Study) -> str:
    """Say why a study's model has no bundle; empty if it has."""
    if study.data.bagged:
        return BAGGED
    if task_of(study.task).generates:
        return GENERATES
    if study.data.steps:
        return (
            "MONAI's transforms do not prepare an image by the study's steps; ask the model with "
            "'wardround predict MODEL FOLDER'."
        )
    if study.task.name in TASKS:
        return ""
    return (
        f"A bundle holds a model of {', '.join(TASKS[:-1])} or {TASKS[-1]}, and this one is of "
        f"'{study.task.name}'; ask the model with 'wardround predict MODEL FOLDER'."
    )


def contents(study: Study, card: Card) -> dict[str, bytes]:
    """Return the files of a bundle by their names in it, but for the network."""
    steps = (files("wardround_client.publishing") / f"{STEPS}.py").read_bytes()
    return {
        "configs/metadata.json": _json(metadata(study, card)),
        "configs/inference.json": _json(inference(study, card)),
        f"scripts/{STEPS}.py": steps,
        "scripts/__init__.py": b'"""The steps around the network."""\n',
        "docs/README.md": _readme(study, card).encode(),
    }


def _json(value: Table) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def metadata(study: Study, card: Card) -> Table:
    """Return ``metadata.json``."""
    task, data = task_of(study.task), study.data
    dense, spatial = task.dense, list(data.extent)
    channels = [one.role for one in data.series] or (["grey"] if data.inputs == 1 else ["red", "green", "blue"])
    outputs = ["background", *card.classes] if dense else list(card.classes)
    meaning = "log-odds of each channel, before softmax"
    if isinstance(study.task, Risk):
        outputs = [f"event by {study.task.by(time)}, not before" for time in range(len(study.task.times))]
        meaning = f"log-odds of the event in each interval, less {USUAL:.4f}: scripts/around_network.py says risks"
    patches = data.patch_size is not None
    versions = {name: version(name) for name in READERS}
    judged = card.judgement.metrics if card.judgement else {}
    purpose = task.words(study.task).purpose
    return {
        "schema": SCHEMA,
        "version": card.wardround,
        "changelog": {card.wardround: f"model of round {', '.join(map(str, card.rounds))}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"fire": "0.7.1"},
        "optional_packages_version": versions,
        "name": card.name,
        "task": f"{card.task}: {', '.join(card.classes)}",
        "description": f"A network that several hospitals trained together to {purpose}; study digest "
        f"{card.study_digest}. What it is for and how good it is: model-card.md beside the bundle.",
        "authors": "see model-card.md",
        "copyright": "see model-card.md",
        "data_source": "images of hospitals, which never left them",
        "data_type": ", ".join(data.modalities),
        "image_classes": "values from 0 to 1, as scripts/around_network.py prepares them",
        "pred_classes": meaning,
        "eval_metrics": {name: value for name, value in judged.items() if value is not None},
        "intended_use": "see model-card.md",
        "references": [],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": data.modalities[0] if len(data.modalities) == 1 else "n/a",
                    "num_channels": data.inputs,
                    "spatial_shape": spatial,
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": patches,
                    "channel_def": {str(number): word for number, word in enumerate(channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image" if dense else "probabilities",
                    "format": "labels" if dense else "classes",
                    "modality": "n/a",
                    "num_channels": len(outputs),
                    "spatial_shape": spatial if dense else [],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": patches and dense,
                    "channel_def": {str(number): word for number, word in enumerate(outputs)},
                }
            },
        },
    }


def inference(study: Study, card: Card) -> Table:
    """Return ``inference.json``, which ``python -m monai.bundle run`` runs."""
    data, here = study.data, f"scripts.{STEPS}"
    roles = [one.role for one in data.series]
    series = task_of(study.task).takes_series(study.task)
    if len(roles) > 1:
        found = "$[{'image': [f'{d}/{r}.nii.gz' for r in @roles], 'path': d} for d in @paths]"
    else:
        found = "$[{'image': p, 'path': p} for p in @paths]"
    turn: list[Table] = [] if series else [{"_target_": f"{here}.TurnPicture"}]
    prepare: Table = {
        "_target_": f"{here}.PrepareImage",
        "size": data.image_size,
        "channels": data.channels,
        "intensity": data.intensity,
    }
    said: Table
    if isinstance(study.task, Risk):
        times = [study.task.by(time) for time in range(len(study.task.times))]
        said = {"_target_": f"{here}.TellRisk", "output_dir": "@output_dir", "times": times, "usual": USUAL}
    elif study.task.name == "classification":
        said = {
            "_target_": f"{here}.Classify",
            "output_dir": "@output_dir",
            "classes": list(card.classes),
            "point": card.point if len(card.classes) == 2 else None,
            "temperature": card.temperature,
        }
    else:
        prepare = {"_target_": f"{here}.PrepareSlices", "size": data.image_size, "intensity": data.intensity}
        if data.spacing_mm is not None:
            spacing = list(data.spacing_mm)
            prepare = {"_target_": f"{here}.PrepareVolume", "spacing_mm": spacing, "intensity": data.intensity}
        said = {
            "_target_": f"{here}.Outline",
            "output_dir": "@output_dir",
            "structures": list(card.classes),
            "prepared": "@prepare",
        }
    inferer: Table = {"_target_": "SimpleInferer"}
    if data.patch_size is not None:
        inferer = {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(data.patch_size),
            "sw_batch_size": 4,
            "overlap": 0.5,
            "mode": "gaussian",
        }
    return {
        "imports": ["$import torch", f"$import {here} as around"],
        "bundle_root": ".",
        "dataset_dir": "images",
        "output_dir": "predictions",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device)",
        "network": "$@network_def.eval()",
        "roles": roles,
        "paths": f"$around.cases_in(@dataset_dir, @roles, series={series})",
        "datalist": found,
        "prepare": prepare,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "image_only": True, "ensure_channel_first": True},
                *turn,
                "@prepare",
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "inferer": inferer,
        "postprocessing": said,
        "evaluator": {
            "_target_": f"{here}.Evaluator",
            "dataset": "@dataset",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "device": "@device",
        },
        "run": ["$@evaluator.run()"],
    }


def _readme(study: Study, card: Card) -> str:
    roles = [one.role for one in study.data.series]
    if len(roles) > 1:
        given = f"a folder for each examination, with {', '.join(f'{role}.nii.gz' for role in roles)}, all on one grid"
    elif task_of(study.task).takes_series(study.task):
        given = "a NIfTI file, or a folder with a DICOM series, for each examination"
    else:
        given = "an image in each file, and no folders: DICOM, PNG, JPEG or NIfTI"
    window = (
        "\nThe network was trained on images to which their own window had been applied. MONAI's readers do not apply "
        "it: give images with values from 0 to 1. Others are refused.\n"
        if study.data.intensity == "window"
        else ""
    )
    template = Template((files("wardround_client.publishing") / "bundle_readme.md").read_text(encoding="utf-8"))
    return template.substitute(name=card.name, monai=version("monai"), given=given, window=window)
