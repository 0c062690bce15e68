"""A hospital that serves: its link, its studies, and what it says of itself."""
