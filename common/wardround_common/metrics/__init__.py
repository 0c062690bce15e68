"""How good a model is: exactly, from the scores of images, and pooled, from sums that hospitals can add.

``Scores`` hold one group's labels and probabilities and give every metric with an interval (``measure``);
``ScoreSums`` are what leaves a hospital. A metric that a group cannot have (one class only, no patient) is None with a
reason: never an exception, never a silent 0.5.
"""

from wardround_common.metrics.calibration import Reliability as Reliability
from wardround_common.metrics.calibration import reliability as reliability
from wardround_common.metrics.decisions import confusion as confusion
from wardround_common.metrics.decisions import decide as decide
from wardround_common.metrics.decisions import operating_threshold as operating_threshold
from wardround_common.metrics.intervals import METRICS as METRICS
from wardround_common.metrics.intervals import Estimate as Estimate
from wardround_common.metrics.intervals import measure as measure
from wardround_common.metrics.scores import Scores as Scores
from wardround_common.metrics.sums import ScoreSums as ScoreSums
from wardround_common.metrics.sums import vector_length as vector_length
