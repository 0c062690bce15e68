"""Images that are drawn from a model of a federation, and how a hospital checks them beside its own."""
