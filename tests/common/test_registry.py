"""What a study can name is listed once: errors, templates, help and words say the same names as the registry."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from examples import study
from wardround_client.images import Image
from wardround_client.preparation.preprocessing import to_network_form
from wardround_client.spending.policy import policy_text
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_common.errors import StudyError
from wardround_common.plugins.names import GROUPS
from wardround_common.registry import REGISTRIES, Registry
from wardround_common.shell import study_cli
from wardround_common.strategies.registry import STRATEGIES
from wardround_common.study.data import Intensity
from wardround_common.study.model import Norm
from wardround_common.study.networks import NETWORKS, known_networks
from wardround_common.study.template import REASONS, study_text
from wardround_common.study.tracking import Tracking
from wardround_common.study.training import Augmentation
from wardround_common.study.words.work import INTENSITIES, NORMS
from wardround_common.tasks.registry import TASKS
from wardround_server.report.tracking import PACKAGES

OWN = "own:mine@0123456789ab"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", [STRATEGIES, NETWORKS, TASKS], ids=lambda one: str(one.kind))
def test_an_unknown_name_is_answered_with_all_that_the_registry_has(kind: Registry[Any]) -> None:
    key = {"strategy": "training.strategy", "network": "model.network", "task": "task.name"}[kind.kind]
    with pytest.raises(StudyError) as error:
        study().but({key: "nothing-of-this-name"})
    assert all(name in str(error.value) for name in kind.names)
    with pytest.raises(StudyError, match=f"no {kind.kind} 'x' is installed"):
        kind["x"]


def test_templates_help_and_policies_name_what_the_registries_have() -> None:
    assert all(repr(name) in REASONS["training", "strategy"] for name in STRATEGIES)
    source = re.sub(r'"\n +"', "", inspect.getsource(study_cli.new))
    (said,) = re.findall(r'"Task of the model: (.*)\."', source)
    assert sorted(re.split(", | or ", said)) == sorted(TASKS)
    assert {*TASKS} == {*LOCAL_TASKS}
    assert NETWORKS.names == known_networks()
    assert all(f'"{name}"' in policy_text() for name in (*NETWORKS, *TASKS))
    for task in TASKS:
        assert f'name = "{task}"' in study_text("x", task=task)


@pytest.mark.parametrize(
    ("section", "key", "kinds", "words"),
    [
        ("data", "intensity", Intensity, INTENSITIES),
        ("model", "norm", Norm, NORMS),
        ("training", "augmentations", Augmentation, None),
    ],
)
def test_what_a_key_can_be_is_said_where_it_is_explained(section: str, key: str, kinds: Any, words: Any) -> None:
    names = get_args(kinds)
    assert all(name in REASONS[section, key] for name in names)
    assert words is None or {*words} == {*names}


def test_each_place_where_figures_go_has_a_key_a_reason_and_the_package_that_it_needs() -> None:
    own = {*Tracking.model_fields} - {"sink"}  # which names a package of its own
    assert {*PACKAGES} | {"hospitals"} == own == {key for section, key in REASONS if section == "tracking"}


def test_each_kind_of_part_that_a_plugin_can_have_stands_in_the_table_and_in_the_package_to_copy() -> None:
    package = tomllib.loads((ROOT / "examples/plugin/pyproject.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    assert {*package["project"]["entry-points"]} == {*GROUPS.values()}
    assert sorted(re.findall(r"^\| `(wardround\.[a-z.]+)` \|", page, re.MULTILINE)) == sorted(GROUPS.values())
    assert {kind for kind in REGISTRIES if kind in GROUPS} == {"network", "strategy", "task", "step"}


def test_each_way_to_scale_intensities_scales_to_0_and_1() -> None:
    image = Image(np.arange(64, dtype=np.float32).reshape(1, 8, 8), None)
    for name in get_args(Intensity):
        steps = [{"step": "limits", "low": 10, "high": 50}] if name == "steps" else []
        form = to_network_form(image, study(data={"intensity": name, "steps": steps}).data)
        assert form.shape == (1, 16, 16)
        assert (
            0 <= form.min() <= form.max() <= 1 or name == "window"
        )  # a file's own window was applied when it was read


def test_own_things_are_had_by_their_name_and_listed_nowhere() -> None:
    registry: Registry[int] = Registry("number", lambda: {"one": lambda: 1})
    try:
        assert REGISTRIES["number"] is registry
        registry.bring(OWN, 2)
        assert (registry["one"], registry[OWN], registry.names) == (1, 2, ("one",))
        assert OWN in registry
        with pytest.raises(StudyError, match="not a name"):
            registry.bring("two", 2)
    finally:
        del REGISTRIES["number"]
