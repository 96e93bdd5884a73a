"""``limner runs``."""
