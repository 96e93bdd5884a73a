"""A mini's card says of its data what its recipe does."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from minis import cards
from minis.training import SHIPPED

MANNERS = ("posterised", "outlined", "sketched")


@pytest.mark.parametrize("name", cards.CARDS)
def test_a_card_speaks_of_redrawn_drawings_only_where_the_recipe_shows_some(name: str) -> None:
    """One text for all of them said that mini-sam and the painters had seen sketches."""
    card = cards.CARDS[name]
    source = inspect.getsource(import_module(f"minis.recipes.{card.recipe.removesuffix('.py')}"))
    text = " ".join((SHIPPED / name / "README.md").read_text(encoding="utf-8").split())
    if "restyled(" not in source and "train_blended()" not in source:
        assert not any(manner in text for manner in MANNERS)
    if "blended(" not in source:
        assert "between two styles" not in text
    assert card.redrawn in text, "written anew after a change: python -m minis.cards"
