"""Masks: what somebody outlined in a series, one file a format, laid on the grid of the series by geometry."""

from wardround_client.masks.find import Beside, Found, Mask, Unmet, find, named
from wardround_client.masks.structures import LEFT_OUT, Structures

__all__ = ["LEFT_OUT", "Beside", "Found", "Mask", "Structures", "Unmet", "find", "named"]
