"""The tasks that a study can name, one file each (``contract``)."""
