"""Which weights an embedding of an image belongs to."""

from __future__ import annotations

from limner.errors import ModelError
from limner.protocols import ImageEmbedding, ModelRef


def mark_of(ref: ModelRef) -> str:
    """What an embedding names as its model: the name alone would take another revision's."""
    return f"{ref.name}@{ref.revision}" if ref.revision else ref.name


def check_mark(embedding: ImageEmbedding, mark: str, data: type = object) -> None:
    """Refuse another model's embedding.

    Args:
        data: the class of what the model keeps in its embeddings.

    Raises:
        ModelError: ``mark`` isn't its model's.
    """
    if embedding.model != mark or not isinstance(embedding.data, data):
        raise ModelError(
            f"This image was embedded by {embedding.model} and {mark} can't read that: "
            "embed it again with the model that is to segment it."
        )
