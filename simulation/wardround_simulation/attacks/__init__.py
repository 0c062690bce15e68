"""Attacks on what Wardround releases, by its own authors, so that its claims can fail.

Each one answers one question about one run: does the training keep to its epsilon (``canaries``), does the model tell
who was trained on (``membership``), does an update show an image (``inversion``)?
"""
