"""Keys that several strategies share."""

from __future__ import annotations

from wardround_common.section import Decay, Rate
from wardround_common.strategies.contract import Key

SERVER_LEARNING_RATE = Key("server_learning_rate", Rate, 1.0, "the coordinator's step.")
BETA_1 = Key("beta_1", Decay, 0.9, "the memory of the mean update.")
BETA_2 = Key("beta_2", Decay, 0.99, "the memory of its square.")
TAU = Key("tau", Rate, 0.001, "the degree of adaptivity; smaller adapts more.")
