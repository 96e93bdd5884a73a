"""Functions of arrays: masks, boxes, transforms, what is drawn."""
