"""The first half: inputs become a `Motion`."""
