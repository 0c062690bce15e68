"""The study file that ``wardround study new`` writes: every key, its default, its reason, its alternatives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from wardround_common.site_shift.registry import MEASURES
from wardround_common.strategies.registry import STRATEGIES, STRATEGY_KEYS, users_of
from wardround_common.study.task_keys import unused_keys
from wardround_common.tasks.registry import TASKS


def usual_keys(task: str) -> Mapping[str, object]:
    """Return the keys of ``[task]`` with the values that a new study of a task has."""
    fields = TASKS[task].section.model_fields.items()
    return {key: field.examples[0] for key, field in fields if field.examples}


def task_reasons(task: str) -> dict[tuple[str, str], str]:
    """Return the line above each key of ``[task]`` in a new study of a task: the docstring of the key."""
    fields = TASKS[task].section.model_fields.items()
    return {("task", key): field.description or "" for key, field in fields}


def strategy_reasons() -> dict[tuple[str, str], str]:
    """Return the line above each key of a strategy: who uses it, and what it does."""
    keys = STRATEGY_KEYS.items()
    return {("training", name): f"{', '.join(users_of(name))} only: {key.reason}" for name, key in keys}


# The numbers, all of them: ``study new`` writes these, error messages quote them, and nothing else holds a copy.
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "study": {"name": "my-study"},
    "task": usual_keys("classification"),
    "data": {"modalities": ["MR"], "image_size": 64, "intensity": "percentile", "channels": 1},
    "model": {"network": "tiny-cnn", "norm": "group", "seed": 0},
    "training": {
        "strategy": "fedavg",
        "rounds": 30,
        "local_epochs": 1.0,
        "batch_size": 60,
        "optimiser": "sgd",
        "learning_rate": 1.0,
        "schedule": "cosine",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "augmentations": [],
    },
    "privacy": {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-5, "clip_norm": 1.0, "images_per_patient": 1},
    "aggregation": {"min_hospitals": 3, "secure": True},
    "evaluation": {"validation": 0.15, "test": 0.25, "sensitivity": 0.9, "keep": "best", "usual": 0.95},
    "tracking": {},
}

# The sections that ``study new --no-dp`` writes in the place of the above.
WITHOUT_DP: Mapping[str, Mapping[str, object]] = {
    "model": {"network": "small-cnn", "norm": "group", "seed": 0},
    "training": {
        "strategy": "fedavgm",
        "server_learning_rate": 1.0,
        "server_momentum": 0.8,
        "rounds": 60,
        "local_epochs": 1.0,
        "batch_size": 16,
        "optimiser": "adamw",
        "learning_rate": 5e-4,
        "schedule": "cosine",
        "weight_decay": 1e-4,
        "augmentations": ["flip", "shift", "rotate", "scale", "intensity"],
    },
    "privacy": {"mechanism": "none"},
}

# The sections that ``study new --distributed`` writes in the place of the above.
DISTRIBUTED: Mapping[str, Mapping[str, object]] = {
    "model": {"network": "wavelets", "norm": "group", "seed": 0},
    "training": {
        "strategy": "fedavg",
        "rounds": 60,
        "batch_size": 29,
        "optimiser": "sgd",
        "learning_rate": 7.0,
        "schedule": "constant",
        "augmentations": [],
    },
    "privacy": {
        "mechanism": "dp-sgd",
        "trust": "distributed",
        "epsilon": 8.0,
        "delta": 1e-5,
        "clip_norm": 0.05,
        "images_per_patient": 1000,
        "sampling_rate": 0.5,
        "dropouts": 0,
        "colluders": 1,
    },
}

# The keys of ``[data]`` that a study of volumes has in the place of ``image_size``.
OF_VOLUMES: Mapping[str, object] = {
    "spacing_mm": [3.0, 1.5, 1.5],
    "patch_size": [32, 64, 64],
    "patches_per_volume": 4,
}

TABLES: Mapping[tuple[str, str], str] = {
    ("data", "series"): (
        "A series that is taken of each patient, by what scanners write of it; each [[data.series]] is one channel."
    ),
}
"""Keys whose values are tables, below their section, with their reasons: for tasks that have them."""

# Keys that the default study leaves out; written as comments, ready to be uncommented.
OPTIONAL: Mapping[str, Mapping[str, object]] = {
    "data": {
        "normalisation": "federation",
        "body_parts": ["BRAIN", "HEAD"],
        "record": "patient",
        "bag_size": 64,
        "steps": [{"step": "median", "size": 3}],
        "variables": [{"name": "age", "attribute": "PatientAge", "range": [0.0, 100.0]}],
    },
    "model": {"pooling": "mean"},
    "training": {
        "class_weights": [1.0, 3.0],
        "count_classes": True,
        "focal_gamma": 2.0,
        "sampling": "balanced",
        "personal": "norm",
        "ditto_lambda": 0.1,
        "local_steps": 20,
        **{key.name: key.example for key in STRATEGY_KEYS.values()},
        "threads": 4,
        "micro_batch": 8,
        "own_loss": "own:my-loss@0123456789ab",
    },
    "privacy": {
        "trust": "distributed",
        "sampling_rate": 0.25,
        "dropouts": 0,
        "colluders": 1,
        "normalisation_epsilon": 0.8,
        "evaluation_epsilon": 4.0,
    },
    "aggregation": {
        "threshold": 3,
        "ring_bits": 16,
        "update_clip": 0.05,
        "largest_weight": 2000,
        "deadline_minutes": 240.0,
        "patience_minutes": 30.0,
        "vote_margin": 0.2,
        "clip_statements": True,
    },
    "evaluation": {
        "every": 10,
        "external": ["Hospital D"],
        "average": 5,
        "patience": 10,
        "subgroups": [
            {"by": "age", "bands": [40, 60]},
            {"by": "sex"},
            {"by": "manufacturer", "values": ["GE", "Siemens"]},
        ],
        "smallest_subgroup": 10,
        "levels": True,
        "recalibrated": True,
        "withheld": True,
        "maps": {"method": "integrated-gradients", "lesions": ["tumour*"]},
    },
    "tracking": {"mlflow": True, "tensorboard": True, "wandb": True, "hospitals": False},
}

SECTION_REASONS: Mapping[str, str] = {
    "study": "What the study is called.",
    "task": "What the model learns to predict from an image; each task has its own keys.",
    "data": "Which images to use, and the form in which the network sees them.",
    "model": "The network; a hospital runs only networks that it installed.",
    "training": "How long to train, with what local work, and how the hospitals' updates become the next model.",
    "privacy": "What one patient can lose by taking part; the unit is the patient, not the image.",
    "aggregation": "How many hospitals must answer, how long to wait for them, and who may read what they send.",
    "evaluation": "How patients are split, and where the model is judged; patients are split, never images.",
    "tracking": "Where the coordinator also keeps each round's figures, of all hospitals together.",
    "plugin": "Packages of others that the study runs, pinned by the digest of their files (docs/plugins.md).",
    "roster": "Who may take part; without it the study is a draft, which only a simulation can run.",
}

REASONS: Mapping[tuple[str, str], str] = {
    **task_reasons("classification"),
    **strategy_reasons(),
    ("study", "name"): "Names the run's folder: lower-case letters, digits and hyphens, at most 64.",
    ("data", "modalities"): "DICOM Modality values: MR, CR, DX, CT, ...; 'OTHER' also takes PNG, JPEG, TIFF and NIfTI.",
    ("data", "normalisation"): (
        "'federation': images are standardised by all hospitals' mean and deviation, added up once; left out: none."
    ),
    ("data", "body_parts"): (
        "DICOM BodyPartExamined values: an image that states another one is left out; left out: all are taken."
    ),
    ("data", "image_size"): "Height and width in pixels, 16 to 1024; the aspect is kept and the rest is padded.",
    ("data", "intensity"): (
        "'percentile': 0.5 to 99.5 % become 0 to 1; 'window': the file's own; 'range': all; 'steps': as steps leave it."
    ),
    ("data", "steps"): (
        "Done to each image first, in order: 'wardround study steps' lists them; intensity = 'steps' if one scales."
    ),
    ("data", "record"): (
        "What a label is of: 'image', a 'slice' (an image among others of its series), a whole 'series' or 'patient'."
    ),
    ("data", "bag_size"): "series and patient only: images that are taken of one, at most; left out: 32.",
    ("data", "variables"): (
        "series and patient only: what the model is told besides images, from clinical.csv or DICOM; left out: nothing."
    ),
    ("model", "pooling"): (
        "series and patient only: 'attention' or 'mean' of the images, or 'recurrent' in order; left out: 'attention'."
    ),
    ("data", "channels"): "1 for grey images; 3 for colour, where grey is repeated.",
    (
        "model",
        "network",
    ): "For dp-sgd a small one, such as 'wavelets' or 'tiny-cnn'; an unknown name is answered with all known ones.",
    ("model", "norm"): "'group' or 'instance'; 'batch' mixes patients, so it is refused under dp-sgd.",
    ("model", "seed"): "Seed for the initial weights; every hospital starts from the same model.",
    ("training", "strategy"): f"How updates become the next model: {STRATEGIES.choices()}.",
    ("training", "rounds"): "Number of rounds; in each, the hospitals train and the coordinator averages.",
    (
        "training",
        "local_epochs",
    ): "Passes over a hospital's images in a round; with 0.5 two rounds make one pass; left out if distributed.",
    (
        "training",
        "batch_size",
    ): "Images per step; under dp-sgd the expected number of patients, if distributed of all hospitals together.",
    ("training", "optimiser"): "'sgd' or 'adamw'; starts afresh in each round.",
    ("training", "learning_rate"): "Step size of a hospital's optimiser.",
    (
        "training",
        "schedule",
    ): "'cosine' lowers the learning rate to a hundredth of it by the last round; 'constant' keeps it.",
    ("training", "momentum"): "Momentum of sgd, from 0 to below 1; adamw ignores it.",
    ("training", "weight_decay"): "Pulls the weights towards zero; 0 turns it off.",
    (
        "training",
        "augmentations",
    ): "Any of 'flip', 'shift', 'rotate', 'scale', 'elastic', 'intensity', 'shading', 'blur', 'noise'; [] for none.",
    ("training", "class_weights"): (
        "Weight of each class in the loss, stated here so that no hospital's class balance leaks; left out: all 1."
    ),
    ("training", "personal"): (
        f"What each hospital keeps for itself, with keep = 'last': {MEASURES.choices()}; left out: nothing."
    ),
    ("training", "ditto_lambda"): "'ditto' only: how strongly a hospital's own model is held to the shared one.",
    ("training", "local_steps"): "In the place of local_epochs: steps in a round, the same number at each hospital.",
    ("training", "count_classes"): (
        "mechanism 'none' only: class weights from the hospitals' counts, added up before round 1; left out: false."
    ),
    ("training", "focal_gamma"): "Focal loss: images that the model is sure of count less, the higher; left out: none.",
    ("training", "sampling"): (
        "mechanism 'none' only: 'balanced' draws a hospital's classes equally often; left out: 'all', each image once."
    ),
    (
        "training",
        "threads",
    ): "Threads that every hospital computes with; another number gives another model; left out: 1.",
    (
        "training",
        "micro_batch",
    ): "Images that go through the network at once, where a whole batch does not fit the memory; left out: all.",
    ("privacy", "mechanism"): "'dp-sgd': patients' gradients are clipped and noised; 'none': no differential privacy.",
    ("privacy", "trust"): (
        "'local': each hospital adds enough noise on its own; 'distributed': its share, and only secure sums are read."
    ),
    (
        "privacy",
        "epsilon",
    ): "Privacy cost of the whole study to one patient: smaller is more private and less accurate.",
    ("privacy", "delta"): "Probability that the epsilon bound fails; keep it well below 1/N for N patients.",
    ("privacy", "clip_norm"): "The L2 norm to which a patient's gradient is clipped; the noise grows with it.",
    ("privacy", "images_per_patient"): "A sampled patient contributes the mean gradient over up to this many images.",
    (
        "privacy",
        "sampling_rate",
    ): "distributed only: probability that a patient is in a step, the same at each hospital.",
    (
        "privacy",
        "dropouts",
    ): "distributed only: number of hospitals that may drop out of a round; if more do, no hospital opens the sum.",
    ("privacy", "colluders"): (
        "distributed only: number of hospitals that may reveal their noise; 1 or more, since each knows its own."
    ),
    ("privacy", "evaluation_epsilon"): (
        "What the sums over validation and test patients cost one of them: counts get noise; left out: they are exact."
    ),
    ("privacy", "normalisation_epsilon"): (
        "The part of epsilon that [data] normalisation costs, whose sums get noise; left out: there is none."
    ),
    ("aggregation", "min_hospitals"): "A round with fewer answers than this is not averaged.",
    ("aggregation", "secure"): "true: the coordinator reads sums over the hospitals only; false: it reads each answer.",
    (
        "aggregation",
        "threshold",
    ): "secure only: number of hospitals that must open a sum, more than half of them; left out: about two thirds.",
    (
        "aggregation",
        "ring_bits",
    ): "secure only: 16 halves the bytes and needs a tight update_clip and largest_weight; left out: 32.",
    ("aggregation", "update_clip"): (
        "Numbers of an update beyond ± this are clipped; left out: 4.0, and no limit if secure = false."
    ),
    ("aggregation", "largest_weight"): (
        "More training images than this weigh as this many; left out: 65536, and no limit if secure = false."
    ),
    ("aggregation", "deadline_minutes"): (
        "Minutes that a round waits for a hospital at work; later answers are dropped; left out: 1440.0, a day."
    ),
    ("aggregation", "patience_minutes"): (
        "Minutes that a round with enough answers waits for a silent hospital; left out: 10.0."
    ),
    ("aggregation", "vote_margin"): (
        "Hospitals vote against a next model whose mean loss on their validation patients rose by more than this."
    ),
    ("aggregation", "clip_statements"): (
        "secure only: hospitals sign what they clipped to, and the coordinator keeps it as evidence; left out: false."
    ),
    ("training", "own_loss"): (
        "Set by simulate(loss=...) from Python alone: a researcher's own code, which no hospital runs; left out: none."
    ),
    (
        "evaluation",
        "validation",
    ): "Fraction of a hospital's patients for validation; they choose the operating point.",
    ("evaluation", "test"): "Fraction of a hospital's patients held out: never used to train or to choose.",
    (
        "evaluation",
        "sensitivity",
    ): ("Operating point, of classes and findings: the highest threshold that still reaches this sensitivity."),
    ("evaluation", "every"): "Number of rounds between two evaluations on the validation patients; left out: 1.",
    ("evaluation", "keep"): (
        "The model to end with: 'best' on the validation patients, 'last', or 'mean-of-last'; left out: 'last'."
    ),
    ("evaluation", "average"): "mean-of-last only: number of rounds whose models are averaged.",
    ("evaluation", "patience"): "best only: end after this many evaluations without a better one; left out: never.",
    ("evaluation", "usual"): (
        "The model flags an image that is less like the validation patients' than this part of them; left out: never."
    ),
    ("evaluation", "external"): (
        "Hospitals that never train: the model is tried on all their patients, once, at the end; left out: none."
    ),
    ("evaluation", "subgroups"): (
        "The model is also judged on subgroups: by age, sex, manufacturer, model or a column; left out: none."
    ),
    ("evaluation", "smallest_subgroup"): (
        "Subgroups of fewer patients are merged before their sums leave a hospital, 5 or more; left out: 10."
    ),
    ("evaluation", "levels"): (
        "Scores are counted in few levels, not in fine bins, which tell less of a patient; left out: false."
    ),
    ("evaluation", "recalibrated"): (
        "Hospitals also add up how the model does if each recalibrates it on its validation patients; left out: false."
    ),
    ("evaluation", "withheld"): (
        "Hospitals also add up how the model does without each variable and series, told as missing; left out: false."
    ),
    ("evaluation", "maps"): (
        "Hospitals with masks add up how much of the model's maps lies in lesions; left out: not. lesions: none is all."
    ),
    ("tracking", "mlflow"): "true: in the run's folder; 'https://…': sent to that MLflow server; left out: false.",
    ("tracking", "tensorboard"): "true: TensorBoard's events in the run's folder; left out: false.",
    ("tracking", "wandb"): "true: files of Weights & Biases in the run's folder, which nothing sends; left out: false.",
    ("tracking", "hospitals"): (
        "true: there also each hospital's losses and headline, by its name; only with secure = false; left out: false."
    ),
}

VOLUME_REASONS: Mapping[tuple[str, str], str] = {
    ("data", "spacing_mm"): "Distance between voxels in mm, towards head, back and left; volumes are resampled to it.",
    ("data", "patch_size"): (
        "Voxels that the network sees at a time, in that order; a multiple of 8 or 16, as the network halves them."
    ),
    ("data", "patches_per_volume"): "Patches drawn of each volume in a pass; every other one around a structure.",
}

_HEADER = """\
# A Wardround study. Hospitals approve it by its digest, which covers every value below but no comment:
# if you change a value, they are asked again.
#
#   wardround study check {name}.toml     lists all faults
#   wardround study show {name}.toml      says what it does, what leaves a hospital, and what it costs
"""

_ROSTER = """\
# {reason}
# The coordinator prints the entries of all enrolled hospitals: wardround coordinator roster DIR
# [[roster]]
# name = "Hospital A"
# key = "64 hexadecimal digits"
# fingerprint = "00000 00000 00000 00000"
"""

_PLUGIN = """\
# {reason}
# The entry of a package that is installed here, to be appended: wardround study plugin PACKAGE
# A plug-in's strategy finds what it needs below [training]: settings = {{ step = 0.5 }}
# [[plugin]]
# package = "a-package"
# version = "1.0"
# sha256 = "64 hexadecimal digits"
"""


def study_text(
    name: str,
    *,
    task: str = "classification",
    dp: bool = True,
    distributed: bool = False,
    own: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> str:
    """Write the commented TOML of a new study with the default numbers; ``own`` has others, by section and key."""
    instead = DISTRIBUTED if distributed else {} if dp else WITHOUT_DP
    of_task = TASKS[task].usual
    reasons = {**REASONS, **VOLUME_REASONS, **task_reasons(task)}
    unused = _unused(task, own.get("task", {}))
    blocks = [_HEADER.format(name=name)]
    for section, usual in DEFAULTS.items():
        values = dict(instead.get(section, usual))
        if section == "study":
            values["name"] = name
        if section == "task":
            usual, values = usual_keys(task), dict(usual_keys(task))
        values |= of_task.get(section, {})
        if dp or distributed:
            values |= TASKS[task].usual_private.get(section, {})
        values = {key: value for key, value in values.items() if f"{section}.{key}" not in TASKS[task].unfit}
        if section == "data" and own.get("task", {}).get("dims") == 3:
            values = {key: value for key, value in values.items() if key != "image_size"} | dict(OF_VOLUMES)
        values |= own.get(section, {})
        tables = {key: values.pop(key) for at, key in TABLES if at == section and key in values}
        if tables:
            usual = values = {key: value for key, value in values.items() if key != "channels"}
        lines = [f"# {SECTION_REASONS[section]}", f"[{section}]"]
        for key, value in values.items():
            lines += [f"# {reasons[section, key]}", f"{key} = {toml_value(value)}"]
        for key, value in (dict(OPTIONAL.get(section, {})) | dict(usual)).items():
            if key in values or (section, key) in unused or f"{section}.{key}" in TASKS[task].unfit:
                continue
            lines += [f"# {reasons[section, key]}", f"# {key} = {toml_value(value)}"]
        for key, table in tables.items():
            lines += _tables(f"{section}.{key}", TABLES[section, key], table)
        blocks.append("\n".join(lines) + "\n")
    blocks.append(_PLUGIN.format(reason=SECTION_REASONS["plugin"]))
    blocks.append(_ROSTER.format(reason=SECTION_REASONS["roster"]))
    return "\n".join(blocks)


def _unused(task: str, own: Mapping[str, object]) -> Mapping[tuple[str, str], str]:
    """Return what a new study of the task does not offer; nothing where its section is wrong, which its reader says."""
    try:
        section = TASKS[task].section.model_validate({**usual_keys(task), **own})
    except ValueError:
        return {}
    return unused_keys(section)


def _tables(name: str, reason: str, tables: object) -> list[str]:
    """Write an array of tables, ``[[name]]`` each."""
    lines = ["", f"# {reason}"]
    for table in tables if isinstance(tables, list | tuple) else ():
        lines += [f"[[{name}]]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
    return lines


def example(section: str, key: str) -> str | None:
    """Quote a value that works, as it would stand in the file; None for a key that no study has."""
    for table in (DEFAULTS, OPTIONAL, {"data": OF_VOLUMES}):
        if key in table.get(section, {}):
            return f"{key} = {toml_value(table[section][key])}"
    if section == "task":
        for task in TASKS:
            if key in (keys := usual_keys(task)):
                return f"{key} = {toml_value(keys[key])}"
    return None


def toml_value(value: object) -> str:
    """Write one value as TOML does; text that could steer a terminal is escaped."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, str):
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(char if char.isprintable() else _escape(char) for char in quoted)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _escape(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
