"""One file a model: how it is trained, read from top to bottom. Each says its cost and target."""
