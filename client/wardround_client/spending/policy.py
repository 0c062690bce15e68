"""The hospital's policy, ``policy.toml``: what it takes part in, and the most that its patients may spend.

It is the hospital's own file. A study asks; the policy decides, before the study begins and before each round.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticKnownError

from wardround_common.errors import PrivacyError, StudyError, listed
from wardround_common.plugins.names import is_plugin
from wardround_common.study.faults import bad_toml, validated
from wardround_common.study.networks import NetworkName, known_networks
from wardround_common.tasks.registry import TASKS

POLICY_NAME = "policy.toml"
DEFAULT_DELTA = 1e-5
"""Where there is no policy to say it."""
LARGEST_FILE_BYTES = 64 * 1024


def _installed(name: str) -> str:
    if name not in TASKS and not is_plugin(name):
        raise PydanticKnownError("literal_error", {"expected": TASKS.choices()})
    return name


Task = Annotated[str, AfterValidator(_installed)]
"""The name of a task that is installed."""
Epsilon = Annotated[float, Field(gt=0, le=1000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Budget(_Section):
    """``[budget]``: what one patient may spend."""

    patient_epsilon: Epsilon
    """In all studies together."""
    study_epsilon: Epsilon
    """In one study."""
    delta: Annotated[float, Field(ge=1e-10, le=1e-2)]
    """At which both are counted, whatever delta a study states for itself."""


class Protection(_Section):
    """``[protection]``: what a study must do for this hospital's patients."""

    require_dp: bool
    """Whether a study must have differential privacy. Without it nothing bounds what a patient spends there."""
    require_local: bool
    """Whether this hospital's noise must be enough on its own, whoever else adds some."""
    require_secure: bool
    """Whether the coordinator may read sums only."""
    smallest_cohort: Annotated[int, Field(ge=1, le=10_000_000)]
    """Patients to train on, at least."""
    subgroups: bool = False
    """Whether the evaluation sums may also leave by subgroup; without them the hospital takes part all the same."""
    require_noised_evaluation: bool = False
    """Whether sums over validation and test patients must have noise, so that epsilon bounds what they tell."""
    maps: bool = False
    """Whether sums of how much of the model's maps lies in lesions may leave; without them likewise."""


class Accept(_Section):
    """``[accept]``: what kind of study."""

    tasks: Annotated[tuple[Task, ...], Field(min_length=1, strict=False)]
    networks: Annotated[tuple[NetworkName, ...], Field(min_length=1, strict=False)]

    @field_validator("tasks", "networks")
    @classmethod
    def _each_once(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({word for word in words if words.count(word) > 1}):
            raise ValueError(f"{', '.join(map(repr, twice))} is listed more than once; list each once")
        return words


class Policy(_Section):
    """A whole policy; an instance is valid."""

    budget: Budget
    protection: Protection
    accept: Accept


def read_policy(path: Path) -> Policy:
    """Read a policy file; all its faults are reported together.

    Raises:
        PrivacyError: it cannot be read or is not a policy. There is no policy that stands in for it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE_BYTES + 1).decode("utf-8-sig")
    except FileNotFoundError:
        raise PrivacyError(
            "there is no policy", where=str(path), do="Write one with: wardround hospital policy new"
        ) from None
    except OSError as error:
        raise PrivacyError(
            f"the policy cannot be read ({error.strerror})", where=str(path), do="Check its permissions."
        ) from None
    except UnicodeDecodeError:
        raise PrivacyError(
            "the policy is not UTF-8 text", where=str(path), do="Save the file as UTF-8 in your editor."
        ) from None
    if len(text) > LARGEST_FILE_BYTES:
        raise PrivacyError("this is not a policy: it is too large", where=str(path), do="Name the policy file.")
    return parse_policy(text, where=str(path))


def parse_policy(text: str, *, where: str = POLICY_NAME) -> Policy:
    """Parse the TOML text of a policy; ``where`` names it in errors.

    Raises:
        PrivacyError: the text is not TOML, or says something that is not a policy.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        fault: StudyError = bad_toml(text, error, where=where)
        raise PrivacyError(fault.what, where=where, do=fault.do) from None

    def refusal(faults: list[str]) -> PrivacyError:
        return PrivacyError(
            f"the policy cannot be used:\n{listed(faults)}",
            where=where,
            do="Correct the file; 'wardround hospital policy new --out FILE' writes one that says what each key means.",
        )

    return validated(tables, Policy, refusal)


def policy_text() -> str:
    """Write the commented TOML of a new policy: strict, so that a hospital opens it as far as it means to."""
    networks, tasks = json.dumps(known_networks()), json.dumps(list(TASKS))
    return f"""\
# The policy of this hospital: what it takes part in, and the most that its patients may spend.
# A study is checked against it before it begins, and again before each round; its wish never wins.
# A change takes effect when the hospital's service starts again. A key that is missing or misspelt stops it.

# What one patient may spend. Epsilon bounds what anybody can learn about whether a patient was in the training data:
# at 1 very little, at 8 it is a weak bound that is usual for images. It is counted by patient, over all studies, rounds
# and restarts, in the ledger.
[budget]
# In all studies together. What open studies are still to take is reserved.
patient_epsilon = 10.0
# In one study.
study_epsilon = 8.0
# The chance that the bound fails; well below one in the number of this hospital's patients: at that and above no
# private study is trained. Both caps are counted at this delta, whatever a study states: a study of epsilon 8 at delta
# 0.001 is more than 8 at 0.00001.
delta = 1e-5

# What a study must do for this hospital's patients.
[protection]
# true: only studies with differential privacy. false: also others, in which nothing bounds what a patient spends; the
# caps above then count the studies with differential privacy only.
require_dp = true
# true: this hospital's own noise must be enough. false: also studies in which all hospitals add it together, under
# secure sums: far better models, and one relies on the other hospitals' software too.
require_local = false
# true: the coordinator may read sums over the hospitals only. false: it may read this hospital's updates.
require_secure = true
# Patients to train on, at least: among few, each counts for much.
smallest_cohort = 20
# true: only studies whose sums over validation and test patients have noise ([privacy] evaluation_epsilon), so that
# the caps above hold for those patients too. false: also others, whose sums are exact; epsilon does not cover them.
require_noised_evaluation = false
# true: where a study asks for it, the sums over test patients also leave by age, sex, scanner or a column of the table
# of labels, after small subgroups were merged; epsilon does not cover them. false: it takes part without them.
subgroups = false
# true: where a study asks for it, sums also leave of how much of the model's maps lies in lesions that this hospital's
# masks outline, over ten or more test patients; epsilon does not cover them. false: it takes part without them.
maps = false

# What kind of study.
[accept]
# What a model may be trained to tell of images; only tasks that are installed can be named.
tasks = {tasks}
# Networks that may be trained here; only networks that are installed can be named.
networks = {networks}
"""
