"""What all tests share."""

from hypothesis import settings

# A pause of a busy machine is no failure of a law.
settings.register_profile("wardround", deadline=None)
settings.load_profile("wardround")
