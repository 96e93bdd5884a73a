"""How much of a picture is read at most. Importing this costs nothing: the command line does."""

MAX_PIXELS = 100_000_000
"""Larger images are refused from their header, before anything is decoded."""
MOST_BYTES = 2_000_000_000
"""Of a picture's file: 64 bits for each of those pixels, and twice that for what else it holds."""
