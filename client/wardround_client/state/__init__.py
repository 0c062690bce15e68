"""What a hospital keeps on its disk of itself and of what its people decided."""
