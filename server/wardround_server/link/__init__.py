"""The coordinator's one public port and Flower's messages behind it."""
