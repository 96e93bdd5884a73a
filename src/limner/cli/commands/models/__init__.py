"""``limner models``."""
