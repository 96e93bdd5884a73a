"""``limner doctor``: what is here, what is missing for what, and what is broken."""
