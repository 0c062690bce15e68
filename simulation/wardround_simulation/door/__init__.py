"""What the package ``wardround`` and the commands both call: the same functions from a notebook and from a shell."""
