"""What people use: the command line, the app, and what both share."""
