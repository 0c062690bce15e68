"""The account of a hospital's patients: the same arithmetic that a coordinator plans with, without torch."""

from wardround_common.privacy.accounting import (
    Event,
    SampledGaussian,
    before_rounds,
    epsilon_of,
    noise_multiplier_for,
)

__all__ = ["Event", "SampledGaussian", "before_rounds", "epsilon_of", "noise_multiplier_for"]
