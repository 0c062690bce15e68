"""The formats in which outlines come, one file each (``contract``)."""
