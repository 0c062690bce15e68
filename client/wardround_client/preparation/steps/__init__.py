"""The steps of preparation that a study can name, one file each.

A file of this folder that begins with no underscore is a step: its name is the file's, with hyphens for underscores,
and its ``STEP`` says what it does, which settings it has and what it needs. Nothing else lists them
(``wardround_common.study.steps``). What a step needs beyond NumPy is imported when it is used: reading a study file
must not wait for it.
"""
