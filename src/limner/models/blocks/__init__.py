"""Parts that several families are built from."""
