"""From the hospitals' updates to the next model: one file a strategy, each with its paper."""

from wardround_server.averaging.moments import Moments as Moments
from wardround_server.averaging.step import first_moments as first_moments
from wardround_server.averaging.step import next_model as next_model
from wardround_server.averaging.weighted_sum import WeightedSum as WeightedSum
