"""The command line: parse, call, print. Heavy imports sit inside commands."""

from limner.cli.app import main

__all__ = ["main"]
