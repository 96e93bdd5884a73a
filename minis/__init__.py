"""How the models that ship with limner are made, and how they are scored. Not part of the wheel."""
