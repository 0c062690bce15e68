"""What a study makes of a hospital's images, step by step, shown to the hospital before anybody trains."""
