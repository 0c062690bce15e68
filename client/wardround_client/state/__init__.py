"""What a hospital keeps on disk about itself and its staff's decisions."""
