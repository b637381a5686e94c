"""Facts that no picture shows, or every picture, and things that are not what they are called."""

import pyarrow as pa
import pytest

from filters.visible import lookalikes, unseen


def reasons(subject: str, predicate: str | None, object_: str | None) -> set[str]:
    columns = (pa.array([name], pa.string()) for name in (subject, predicate, object_))
    return {reason for reason, mask in unseen(*columns).items() if mask.tolist() == [True]}


@pytest.mark.parametrize(
    ("subject", "predicate", "object_", "reason"),
    [
        ("view", "of", "sea", "about_the_picture"), ("man", "in", "close - up", "about_the_picture"),
        ("world", "on", "table", "not_seen"), ("dog", "of", "film", "not_seen"), ("home", "on", "market", "not_seen"),
        ("visitor", "sit on", "show", "not_seen"), ("player", "before", "match", "not_seen"),
        ("festival", "at", "person", "not_seen"), ("racket", "for", "tennis", "not_seen"),
        ("woman", "with", "hand", "inherent_part"), ("model", "get", "hair", "inherent_part"),
        ("clouds", "in", "sky", "inherent_part"), ("yacht", "float in", "water", "inherent_part"),
        ("bedroom", "in", "house", "inherent_part"), ("window", "in", "church", "inherent_part"),
        ("actor", "in", "shoes", "inherent_part"), ("bride", "in", "dress", "inherent_part"),
        ("girl", "have", "room", "told_by_owner"), ("passenger", "have", "seat", "told_by_owner"),
    ],
)  # fmt: skip
def test_what_a_picture_does_not_show_or_always_shows_has_a_reason(
    subject: str, predicate: str, object_: str, reason: str
) -> None:
    assert reasons(subject, predicate, object_) == {reason}


@pytest.mark.parametrize(
    ("subject", "predicate", "object_"),
    [
        ("man", "at", "market"), ("power line", "above", "street"), ("boat", "in", "sea"), ("man", "hold", "shoe"),
        ("dog", "in", "shoe"), ("bride", "in", "garden"), ("player", "kick", "ball"), ("dog", None, None),
        ("house", "with", "garden"), ("cat", "on", "roof"),
    ],
)  # fmt: skip
def test_what_some_pictures_show_has_none(subject: str, predicate: str | None, object_: str | None) -> None:
    assert reasons(subject, predicate, object_) == set()


@pytest.mark.parametrize(
    ("subject", "predicate", "object_", "value", "expected"),
    [
        ("man", None, None, "gingerbread", (True, False)), ("airplane", None, None, "paper", (True, False)),
        ("sea", None, None, "red", (True, False)), ("sea", "of", "dune", None, (True, False)),
        ("person", "of", "beer", None, (True, False)), ("statue", "of", "lion", None, (False, True)),
        ("bag", None, None, "paper", (False, False)), ("car", None, None, "red", (False, False)),
        ("glass", "of", "beer", None, (False, False)), ("sea", "near", "dune", None, (False, False)),
    ],
)  # fmt: skip
def test_what_is_not_what_it_is_called(
    subject: str, predicate: str | None, object_: str | None, value: str | None, expected: tuple[bool, bool]
) -> None:
    columns = (pa.array([word], pa.string()) for word in (subject, predicate, object_, value))
    assert tuple(mask.item() for mask in lookalikes(*columns)) == expected
