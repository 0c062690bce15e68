"""A prior that needs nobody's data: features of a network that are learnt from images which a seed makes."""
