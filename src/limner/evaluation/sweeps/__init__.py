"""Sweeps: one picture, many settings, a score for each; a recipe in TOML says which."""
