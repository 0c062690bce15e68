"""Why a model says what it says of an image: maps, and how far they can be believed. They stay at the hospital."""
