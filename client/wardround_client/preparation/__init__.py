"""From a hospital's images to the form that a study's network sees."""
