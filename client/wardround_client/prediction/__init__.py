"""A trained model at a hospital: judged on its own images, and asked about new ones."""
