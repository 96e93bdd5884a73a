"""What needs no weights: GrabCut and filling."""
