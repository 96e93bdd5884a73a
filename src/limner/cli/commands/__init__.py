"""A file for each command, a folder for each group."""
