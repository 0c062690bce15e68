"""The methods that ``wardround explain`` knows, one file each: the name of a method is its file's (``registry``)."""
