"""Painters by diffusion."""
