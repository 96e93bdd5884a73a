"""Vision-language models as detectors."""
