"""What may come from strangers, read with bounds, and shown as text."""
