"""Which models exist, where their files lie, how one is loaded."""
