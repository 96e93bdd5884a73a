"""Prompts for many pictures turned into one labelled dataset."""
