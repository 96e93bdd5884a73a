"""Answers of models, kept for a later call."""
