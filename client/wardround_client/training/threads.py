"""How many threads a model is trained with: the study sets it, since a different number gives a different model.

Sums of floating-point numbers are shared out among the threads, so a gradient is rounded otherwise by one thread than
by two. With a fixed number it is the same on any number of cores, also on fewer than that.
"""

from __future__ import annotations

import torch

from wardround_common.study.file import Study


def use_threads(study: Study) -> None:
    """Let the calling thread compute with the study's number of threads.

    torch keeps the number for each calling thread, and a thread that has computed before does not notice that another
    one set it: so this is called where the work begins, and by the one who does it.
    """
    torch.set_num_threads(study.training.threads)
