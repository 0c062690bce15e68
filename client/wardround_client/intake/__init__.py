"""What a hospital has: files read, refused, identified, labelled, and kept."""
