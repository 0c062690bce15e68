"""The hospital's end of the link to its coordinator: outbound only."""
