"""What each hospital keeps of a model for itself: which part, one file a measure, and where it lies."""
