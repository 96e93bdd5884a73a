"""``limner score``."""
