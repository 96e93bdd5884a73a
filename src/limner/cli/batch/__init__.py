"""A verb over one picture or a folder of them."""
