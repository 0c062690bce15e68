"""Mean and standard deviation inside the body: background, of which one image has more, then says nothing."""

from __future__ import annotations

from wardround_client.preparation.steps._linear import between, in_body
from wardround_common.study.steps import Apply, Setting, Settings, Step, Values


def _fit(settings: Settings, values: Values) -> Apply:
    inside = in_body(values).astype(float)
    mean, spread = inside.mean(), float(settings["deviations"]) * inside.std()
    return between(mean - spread, mean + spread)


STEP = Step(
    "the mean inside the body becomes 0.5, and {deviations} standard deviations below and above it 0 and 1",
    _fit,
    (Setting("deviations", 3.0, "how many standard deviations lie between the mean and 0 or 1", 0.5, 20),),
    scales=True,
    measures=True,
)
