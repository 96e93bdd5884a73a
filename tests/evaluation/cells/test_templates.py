"""Templates from strangers: only what costs no more than the text it writes is taken."""

from __future__ import annotations

import pytest

from limner.evaluation.cells import templates
from limner.evaluation.cells.templates import LONGEST, TemplateFault, fill

VARIABLES = {"thing": "mug", "n": 3, "flag": True, "none": "", "long": "x" * (LONGEST - 10)}

FILLED = {
    "a {{thing}}": "a mug",
    "{{ thing }} and {{thing}}": "mug and mug",
    "{{ thing|upper }}": "MUG",
    "{{ other|default('cup') }}": "cup",
    "{% if n == 3 %}three {{thing}}s{% else %}{{thing}}{% endif %}": "three mugs",
    "{{ 'big' if flag and not none else 'small' }}": "big",
    "{{flag}}": "true",
    "{{ flag }}{# a comment #}": "true",
    "no template": "no template",
}


@pytest.mark.parametrize("text", FILLED)
def test_what_suites_need_is_filled_in(text: str) -> None:
    assert fill(text, VARIABLES) == FILLED[text]


HOSTILE = {
    "a product": "{{ 'a' * 3000000000 }}",
    "a wide text": "{{ 'a'|center(9999999999) }}",
    "a wide number": "{{ '%1000000000d' % 3 }}",
    "a wide number by a filter": "{{ '%1000000000d'|format(3) }}",
    "a power": "{{ 9**999999999 }}",
    "nested loops": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "a loop over a text": "{% for c in long %}{% for d in long %}{{long}}{% endfor %}{% endfor %}",
    "a growing text": "{% set x = long %}{% set x = x ~ x %}",
    "a replacement that grows": "{{ long|replace('x', long)|replace('x', long) }}",
    "joined texts": "{{ long ~ long ~ long }}",
    "a list": "{{ [long, long, long] }}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a file": "{% include '/etc/passwd' %}",
    "the way out": "{{ thing.__class__.__mro__ }}",
    "an item": "{{ thing['__class__'] }}",
    "a global": "{{ lipsum() }}",
    "brackets": "{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}",
    "conditions in conditions": "{% if n %}" * 900 + "{% endif %}" * 900,
    "too long a result": "{{long}}{{long}}",
    "too long a result of a filter": "{{long|upper}}{{long|upper}}",
    "too long a template": "{{thing}}" + "x" * LONGEST,
    "no template": "{{thing",
    "unlike things": "{{ 'a' if thing < n else 'b' }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_fill_the_memory_or_never_end_is_one_short_sentence(name: str) -> None:
    """Each of these ran before, but for the last ones: gigabytes, or for ever."""
    with pytest.raises(TemplateFault) as fault:
        fill(HOSTILE[name], VARIABLES)
    assert len(str(fault.value)) < 400


def test_a_template_of_names_needs_no_engine_and_others_are_compiled_once() -> None:
    """A suite fills the same text for each of thousands of cases."""
    templates._compiled.cache_clear()
    for k in range(5):
        assert fill("{{a}} and {{ a }}", {"a": k}) == f"{k} and {k}"
    assert templates._compiled.cache_info().misses == 0
    for k in range(5):
        assert fill("{{a|upper}}", {"a": f"x{k}"}) == f"X{k}"
    assert templates._compiled.cache_info().misses == 1
