"""A model is taught one subject from a few photographs: DreamBooth with prior preservation."""
