"""Private keys, certificates and who a hospital is."""
