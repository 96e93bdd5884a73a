"""limner: point at it, box it, show it or say it; limner outlines it, repaints it, and says how."""

from limner.version import __version__

__all__ = ["__version__"]
