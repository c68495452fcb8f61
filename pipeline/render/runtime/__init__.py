"""Where and how the networks run, and what that costs."""
