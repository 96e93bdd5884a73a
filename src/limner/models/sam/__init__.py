"""Segment Anything: SAM, HQ-SAM, SAM 2, EdgeTAM, SAM 3."""
