"""Curves and sheets of them."""
