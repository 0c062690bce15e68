"""How good a model is, from sums that hospitals can add.

``ScoreSums`` are what leaves a hospital, and every figure is read off such sums, in a simulation as in a deployment;
``PatientSums`` are the sums of each patient, from which a simulation has intervals. A metric that a group cannot have
(one class only, no patient) is None with a reason: never an exception, never a silent 0.5.
"""

from wardround_common.metrics.patients import PatientSums as PatientSums
from wardround_common.metrics.shapes import Curve as Curve
from wardround_common.metrics.shapes import Estimate as Estimate
from wardround_common.metrics.shapes import ReliabilityBins as ReliabilityBins
from wardround_common.metrics.sums import METRICS as METRICS
from wardround_common.metrics.sums import ScoreSums as ScoreSums
from wardround_common.metrics.sums import vector_length as vector_length
