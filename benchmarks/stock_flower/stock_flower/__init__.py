"""A federation of Flower's own parts that does not train."""
