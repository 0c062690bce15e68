"""What the process imports that workers are forked from: all that a job needs, in memory that they share.

Collections of garbage in a worker leave it out: they would write a mark into each object, and so copy its page.
"""

from wardround_common.shell.imports import Process, at_once

Process.ours = True
with at_once():
    from wardround_simulation import jobs

__all__ = ["jobs"]
