"""A hospital as a function from question to answer, and how it joins and leaves."""
