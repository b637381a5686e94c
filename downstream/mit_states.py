"""MIT-States (Isola et al., CVPR 2015): things in states, asked for as "this thing, but STATE".

As TIRG (Vo et al., CVPR 2019) and GeneCIS use it: images of 49 nouns that no model was trained on; every image asks for
every other state that is seen of its noun; any image of that noun and state is right; the gallery is all images but the
reference.
"""

from pathlib import Path

from downstream.tasks import Folder, Query, Task, TaskError

CUTOFFS = (1, 5, 10)
TEST_NOUNS = frozenset(
    "armor bracelet bush camera candy castle ceramic cheese clock clothes coffee fan fig fish foam forest fruit "
    "furniture garden gate glass horse island laptop lead lightning mirror orange paint persimmon plastic plate potato "
    "road rubber sand shell sky smoke steel stream table tea tomato vacuum wax wheel window wool".split()
)
NO_STATE = "adj"
"""Folders "adj NOUN" hold images whose state nobody named; they are not used."""


def read(root: str | Path) -> list[Task]:
    """The published test queries.

    Args:
        root: the released folder, which holds ``images/STATE NOUN/*.jpg``, or that folder ``images`` itself.

    Raises:
        TaskError: no image of a test noun is there.
    """
    folder = Path(root) / "images" if (Path(root) / "images").is_dir() else Path(root)
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        state, space, noun = path.name.partition(" ")
        if space and noun in TEST_NOUNS and state != NO_STATE:
            found[noun, state] = tuple(f"{path.name}/{image.name}" for image in sorted(path.glob("*.jpg")))
    if not found:
        raise TaskError(f"{folder} holds no folders of images named 'STATE NOUN', such as 'ancient castle'")
    states: dict[str, list[str]] = {}
    for noun, state in found:
        states.setdefault(noun, []).append(state)
    queries = [
        Query(reference, other, found[noun, other], group=other)
        for (noun, state), references in found.items()
        for reference in references
        for other in states[noun]
        if other != state and found[noun, other]
    ]
    gallery = tuple(image for images in found.values() for image in images)
    return [Task("mit_states", queries, Folder(folder), CUTOFFS, gallery=gallery)]
