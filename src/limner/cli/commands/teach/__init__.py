"""``limner teach``."""
