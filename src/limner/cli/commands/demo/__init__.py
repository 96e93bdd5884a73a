"""``limner demo``."""
