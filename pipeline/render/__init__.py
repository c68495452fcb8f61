"""The second half: a `Motion` and a picture become frames."""
