"""From the hospitals' updates to their exact mean; what is made of it is the study's strategy."""

from wardround_server.averaging.weighted_sum import WeightedSum as WeightedSum
