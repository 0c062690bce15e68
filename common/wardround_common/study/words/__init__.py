"""A study in plain words, for the people who approve it."""
