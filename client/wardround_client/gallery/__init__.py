"""A hospital's own images to look at: labels, outlines, a model's answers and its worst errors; it stays there."""
