"""How a service's staff control it while it runs: gRPC over a UNIX socket in its own folder.

``control.proto`` says what can be asked; ``make protos`` makes the ``control_pb2`` files from it. ``place`` is where
the socket lies, ``errors_carried`` brings errors across, ``service`` is the side that answers, ``line`` the one that
asks, ``health`` gRPC's standard health service, and ``checking`` asks that. A command that asks no service imports none
of it: gRPC takes about as long to import as the rest of a health check.
"""

VERSION = 1
"""Of the messages: a service and a command of two versions do not work with each other, and say so."""

COORDINATOR, HOSPITAL = "coordinator", "hospital"

LARGEST_REQUEST_BYTES = 256 * 1024
LARGEST_ANSWER_BYTES = 4 * 1024 * 1024
LARGEST_ERROR_BYTES = 256 * 1024
"""An error travels with the answer, in gRPC's trailing metadata, which both ends limit apart."""
