"""Volumes: the series of a hospital, assembled by where their slices lie and never by name or number."""

from wardround_client.volumes.acquisition import Acquisition
from wardround_client.volumes.choice import Choice, Roles, choose, examinations, roles_in
from wardround_client.volumes.geometry import Geometry
from wardround_client.volumes.series import Refused, Series, Survey, series_in, survey

__all__ = [
    "Acquisition",
    "Choice",
    "Geometry",
    "Refused",
    "Roles",
    "Series",
    "Survey",
    "choose",
    "examinations",
    "roles_in",
    "series_in",
    "survey",
]
