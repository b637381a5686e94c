"""More general words for a condition: "dog" and "animal" for "puppy", "red" for "crimson".

Where captions seldom say the specific word, a condition that uses a more general one has more targets and distractors.
A general word must still tell something that can be seen.
"""

from functools import lru_cache

from filters.hierarchy import ancestors_of

MOST = 2
"""General words that a name has at most."""

VAGUE = frozenset(
    "alcohol appliance area artist artwork athlete attraction bedding body building category center ceremony "
    "character clothing color container contest cookware day ear electronics emotion event fabric female festival "
    "floor footwear furniture game ground hair hand holiday jewelry land leader leg light line link list machine male "
    "match material meal metal money movie music musician object pants party pattern people performance performer "
    "person picture plant player pole post premiere relative ring room screen seafood season seat shape shirt shoe "
    "shop show size sky space species sport state station structure table tableware team texture thing time tool toy "
    "type wall weather wine worker".split()
) | {"body part", "body of water", "celestial body", "facial expression", "sports equipment"}
"""Kinds that tell nothing to be seen, very different things, or what nearly every picture shows ("in clothing");
facetmine's own list, from the tops of things.tsv and from reading triplets."""


@lru_cache(1 << 18)
def general_names(name: str) -> tuple[str, ...]:
    """The more general names of a thing or value that a condition can use in its place, nearest first."""
    return tuple(kind for kind in ancestors_of(name) if kind not in VAGUE)[:MOST]


def general_name(name: str, level: int) -> str:
    """The name itself at level 0, the level-th more general one above, "" where there is none."""
    if level == 0:
        return name
    names = general_names(name)
    return names[level - 1] if level <= len(names) else ""
