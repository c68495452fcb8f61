"""`evaluate videos`: results of any method beside what they were made from."""
