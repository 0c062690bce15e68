"""Reads what was written for TensorBoard."""

from __future__ import annotations

from pathlib import Path


def events(folder: Path) -> dict[tuple[str, int], float]:
    """Read TensorBoard's files as its format says: length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[tuple[str, int], float] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                assert (value.tag, event.step) not in found, "written twice"
                found[value.tag, event.step] = value.simple_value
            content = content[16 + length :]
    return found
