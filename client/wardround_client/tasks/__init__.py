"""What a hospital does for each task, one file each (``contract``)."""
