"""Pause and resume, as the hospital's staff decide: recorded in the audit log, and in force until they decide again."""

from __future__ import annotations

from wardround_client.hospital.hospital_audit import hospital_log
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since, pausing, resuming


def pause_work(folder: HospitalFolder) -> None:
    """Begin no new work, also after a restart; a second time it changes nothing.

    Raises:
        StorageError: it cannot be noted; nothing has changed then.
    """
    if not paused_since(folder.path):
        hospital_log(folder).note("paused", change=pausing(folder.path))


def resume_work(folder: HospitalFolder) -> None:
    """Work again; raises what :func:`pause_work` does."""
    if paused_since(folder.path):
        hospital_log(folder).note("resumed", change=resuming(folder.path))
