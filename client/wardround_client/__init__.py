"""What runs inside a hospital: reading its images, training on them, and nothing else leaves."""
