"""What a caption names, as phrases that a detector can be asked for.

"two red apples next to a parked car" -> "red apple", "car": without articles, counts, places and
verbs, each noun of it once, one of several asked for in the singular, as detectors' labels are.

English only, and by rule: closed classes of words are listed, an ``-ing`` or ``-ed`` is a modifier
between an article and a noun and a verb elsewhere, and all other words are nouns. A verb that is in
no list therefore stays in its phrase ("dogs jump" is asked for as it stands), which costs a look
and finds nothing. A tagger would know better, but is a package with weights of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_WORDS = 6
"""A longer phrase loses its first words, for an English name ends in its noun. Text encoders hold
16 tokens and more."""

_ONE = frozenset("a an one each every another this".split())
"""What stands after these is no plural, whatever its last letter is: a bus."""
_NUMBERS = frozenset("one two three four five six seven eight nine ten eleven twelve dozen".split())
_DETERMINERS = _ONE | frozenset(
    "the these those some any all both many several few various multiple different other "
    "its his her their my your our".split()
)
_COLLECTIONS = frozenset(
    "group groups couple bunch pair pairs lot lots number row rows set piece pieces slice slices "
    "series variety collection crowd herd flock pile".split()
)
"""Before "of" they say how many, not what."""
_ADJECTIVES = frozenset(
    "red yellow green blue purple pink brown black white gray grey gold golden silver turquoise "
    "beige dark bright pale big large small little tiny huge tall short long wide narrow old young "
    "new empty full round wooden blurry dirty clean wet dry beautiful cute happy colorful "
    "colourful striped close".split()
)
"""What can't be asked for alone."""
_ADVERBS = frozenset(
    "very brightly slightly partially partly closely neatly fully also still just together".split()
)
"""Left out of a phrase."""
_NOUNS_LIKE_VERBS = frozenset(
    "building ceiling clothing painting railing awning earring seedling wedding hundred".split()
)
_ENDS = frozenset(
    # prepositions and conjunctions
    "of in on at by with from to into onto over under above below beneath behind beside between "
    "among around near next against along across through inside outside within toward towards up "
    "down off out about for as like than upon atop underneath during while or but that which "
    "who whose where when so not "
    # pronouns
    "it he she they them him someone somebody something nothing everything what "
    # verbs whose form doesn't say it
    "has have had show shows shown sit sits sat stand stands stood lie lies lay hold holds held "
    "wear wears worn ride rides ridden eat eats hang hangs hung look looks see seen seems appears "
    "contains features depicts made taken lying using can does do "
    # what is said of the picture and of places in it
    "image images picture pictures photo photos photograph photographs view scene shot background "
    "foreground front back top bottom left right side sides middle center centre corner edge "
    "distance color colour colors colours day night".split()
)
"""Where a phrase ends."""
_CLOSED = {
    "a": _ADJECTIVES,
    "b": _ENDS,
    "c": frozenset(("and",)),
    "d": _DETERMINERS,
    "e": frozenset("is are was were be being been isn't aren't".split()),
    "o": frozenset(("orange",)),
    "t": frozenset(("there",)),
    "x": frozenset("no without".split()),
}
"""Tag -> the words that always have it."""

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\d+|[^\w\s]|_")
_HYPHEN = re.compile(r"(?<=[^\W\d_]) ?- ?(?=[^\W\d_])")
"""BERT's tokenizer, and so BLIP, writes "jack - o - lantern"."""
_VERBAL = re.compile(r"(?=.{3,}(?:ing|ed)$).*[aeiouy].*(?:ing|ed)")
"""``eating`` and ``parked``, not ``string`` and ``bed``."""

_PHRASE = re.compile(
    r"(?P<not>xd*|(?<!t)e)?"  # "no cars"; "is happy", but not "there is grass"
    r"(?P<name>(?:[ao](?:c(?=[ao]))?|(?<=[dao])v)*"  # "red and white", "parked"
    r"(?:n(?:[ao]*n)*|(?<=[dao])v|(?<=d)o))"  # "traffic light", "a drawing", "an orange"
)
"""Over a sentence's tags, one letter a word: see ``_tag``."""


def noun_phrases(caption: str) -> tuple[str, ...]:
    """The things that a caption names, in its order, each once.

    Returns:
        Lower-case phrases of at most ``MOST_WORDS`` words, which stand in the caption in that
        order, but that the last may have lost a plural's ending. Empty where nothing is named.
    """
    return tuple(dict.fromkeys(_phrases(caption)))


def _phrases(caption: str) -> Iterator[str]:
    spoken = _WORD.findall(_HYPHEN.sub("-", caption.lower().replace("’", "'")))
    words = [word for word in spoken if word not in _ADVERBS]
    tags = "".join(_tag(words, k) for k in range(len(words)))
    for match in _PHRASE.finditer(tags):
        if match["not"]:
            continue
        start, end = match.span("name")
        *first, last = words[start:end]
        if start == 0 or words[start - 1] not in _ONE:
            last = singular(last)
        yield " ".join([*first, last][-MOST_WORDS:])


def _tag(words: list[str], k: int) -> str:
    """The class of a word in its sentence.

    Returns:
        a (adjective), c (and), d (determiner or number), e (a form of be), n (noun), o (orange: an
        adjective or a noun), t (there), v (verbal adjective or verb), x (no), b (ends a phrase).
    """
    word = words[k]
    before, after = "".join(words[k - 1 : k]), "".join(words[k + 1 : k + 2])
    if word in _NUMBERS or word.isdigit():
        return "a" if before in ("a", "an") else "d"  # "a four leaf clover"
    if (word in _COLLECTIONS and after == "of") or (word == "of" and before in _COLLECTIONS):
        return "d"
    for tag, meant in _CLOSED.items():
        if word in meant:
            return tag
    if not word[0].isalpha():
        return "b"
    return "v" if _VERBAL.fullmatch(word) and word not in _NOUNS_LIKE_VERBS else "n"


_UNCHANGED = frozenset(
    "glasses sunglasses jeans pants shorts trousers scissors goggles binoculars headphones fries "
    "stairs clothes lens gas canvas christmas chess news species series pajamas".split()
)
_IRREGULAR = {
    "people": "person",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "lenses": "lens",
} | {
    word: word[:-1]
    for word in "cookies movies hoodies brownies zombies selfies taxis skis kiwis menus".split()
}
_ENDINGS = tuple(
    (re.compile(pattern), ending)
    for pattern, ending in (
        (r"((?:^|wo|fire|fisher|police|snow)m)en$", r"\1an"),
        (r"(^kni|wi|^li)ves$", r"\1fe"),
        (r"(lea|loa|hal|cal|el|wol|scar|hoo)ves$", r"\1f"),
        (r"(..)ies$", r"\1y"),
        (r"([sc]h|ss|x|[^o]us|ato|quito|ango|ero)es$", r"\1"),
        (r"(.[^sui'])s$", r"\1"),
    )
)


def singular(noun: str) -> str:
    """``cherries`` -> ``cherry``, ``people`` -> ``person``; ``jeans`` and ``bus`` stay."""
    if noun in _UNCHANGED or noun.endswith("'s"):
        return noun
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    for pattern, ending in _ENDINGS:
        if pattern.search(noun):
            return pattern.sub(ending, noun)
    return noun
