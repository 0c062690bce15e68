"""What a coordinator keeps on its disk."""
