"""Which keys of other sections a study's task does not use: a study with one is refused, and a new one offers none."""

from __future__ import annotations

from collections.abc import Mapping

from wardround_common.tasks.contract import TaskSection
from wardround_common.tasks.registry import task_of

BESIDE = {
    ("data", "bag_size"): ("data", "record"),
    ("model", "pooling"): ("data", "record"),
    ("training", "ditto_lambda"): ("training", "personal"),
}
"""Keys that a study has only with another one."""


def unused_keys(section: TaskSection) -> Mapping[tuple[str, str], str]:
    """Return the keys that mean nothing to a task, by section and key, each with the reason as a clause.

    Those that follow from what a task is; what it refuses besides, its ``unfit`` says.
    """
    task = task_of(section)
    named = f"the task '{section.name}'"
    unused: dict[tuple[str, str], str] = {}
    if not task.weighted(section):
        for key in ("class_weights", "count_classes", "focal_gamma", "sampling"):
            unused["training", key] = f"{named} does not use this key"
    if task.dense or task.takes_series(section):
        unused["data", "record"] = f"{named} is on each image or volume"
    if section.name != "classification":
        unused["evaluation", "recalibrated"] = f"{named} has no class probabilities to recalibrate"
    if task.in_levels is None:
        unused["evaluation", "levels"] = f"{named} counts no scores that could be counted in levels"
    if task.noised is None:
        unused["privacy", "evaluation_epsilon"] = f"{named} has sums that get no noise"
    each = task.outputs(section) == len(task.groups(section))  # an output for each class or finding
    if task.dense or task.numeric or task.horizons(section) or not each:
        unused["evaluation", "maps"] = f"they are of what speaks for a class of the whole image, and {named} tells none"
    for place, (at, other) in BESIDE.items():
        if (at, other) in unused or f"{at}.{other}" in task.unfit:
            unused[place] = f"{named} does not use [{at}] {other}, beside which this key stands"
    return unused
