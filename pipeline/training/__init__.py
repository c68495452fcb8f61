"""Training of the embedded models, from drawn presenters and synthetic speech."""
