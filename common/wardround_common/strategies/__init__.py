"""The strategies that a study can name, one file each: from a mean update to the next model (``contract``)."""
