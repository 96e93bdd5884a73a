"""The colours that tell things apart, in pictures, charts and pages: Okabe and Ito 2008, which most
people who see few colours can tell apart too."""

from __future__ import annotations

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"

ON_PICTURES = (SKY, ORANGE, GREEN, PURPLE, YELLOW, BLUE, VERMILION)
"""In order, over photographs: light ones first."""
ON_PAPER = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""In order, as lines on white: dark ones first."""
