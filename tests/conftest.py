"""What all tests share."""

import os

from hypothesis import settings

from wardround_common.shell.cli import NO_FORKS

os.environ.setdefault(*NO_FORKS)  # as the command does before it imports anything

# A pause of a busy machine is no failure of a law.
settings.register_profile("wardround", deadline=None)
settings.load_profile("wardround")
