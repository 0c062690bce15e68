"""The hospital service: its link, its studies, and what it reports about itself."""
