"""More general words for a condition: "dog" and "animal" for "puppy", "red" for "crimson".

Where captions seldom say the specific word, a condition that uses a more general one has more targets and distractors.
A general word must still tell something that can be seen.
"""

from functools import lru_cache

from filters.hierarchy import ancestors_of

MOST = 2
"""General words that a name has at most."""

VAGUE = frozenset(
    "accessory agency agent album alcohol alike app appliance area arm artist artwork athlete attraction base bath "
    "beam bearer bedding biker biking board body bowl broadcaster browser building bush candidate catcher category "
    "center ceremony champion character clip clock clothing coach college color container contest cookware course day "
    "deck delivery designer dough driver ear electronics emotion event exercise fabric female festival fighter firm "
    "fixture floor flow footballer footwear furniture game ground guard hair hand holiday homepage host jewelry kick "
    "kingdom land leader ledge leg lens lift light line link list machine male match mate material meal metal "
    "minister model money movie music musician night object outfielder page pants parish partner party pattern people "
    "performance performer person personnel picture pitcher plant platform player pole post premiere product "
    "programme race racer relative ring roast rod room salon school screen seafood season seat shadow shape shell "
    "shirt shoe shoot shop show showroom sitcom site size skate sky space species sport stack stand state station "
    "stick structure studio suite table tableware tackle team texture thing time tool top toy transport tube turbine "
    "type vane venue wall weather wine wing winger wire worker".split()
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
