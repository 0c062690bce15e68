"""Measures for hospitals whose images differ, one file each: what each hospital keeps of its own (``contract``)."""
