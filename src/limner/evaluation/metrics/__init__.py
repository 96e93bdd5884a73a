"""How good an answer is, as numbers."""
