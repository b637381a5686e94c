"""What is evaluated: queries of a reference picture and a condition, and the pictures among which the answer is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from PIL import Image

from images import ImageError


class TaskError(ValueError):
    """An evaluation that cannot be had as asked for; the message says what is wrong and where."""


class PictureSource(Protocol):
    """Where a task's pictures come from. An ``ImageStore`` is one, by image id."""

    def image(self, name: str, /) -> Image.Image:
        """The picture of that name, in RGB.

        Raises:
            ImageError: there is none, or it cannot be read.
        """


@dataclass(frozen=True)
class Query:
    """A question: what looks like the reference in the respect, or with the change, that the condition names?

    Attributes:
        reference: name of the reference picture.
        condition: text.
        right: names of the right answers; finding any of them counts.
        gallery: names of the pictures to choose from, right answers included; None is the task's whole gallery.
        group: what the query is reported under, beside the whole.
    """

    reference: str
    condition: str
    right: tuple[str, ...]
    gallery: tuple[str, ...] | None = None
    group: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all pictures without which the query is another one."""
        return (self.reference, *self.right, *(self.gallery or ()))


@dataclass(frozen=True)
class Task:
    """Queries that are reported together.

    Attributes:
        name: of the task.
        queries: the questions.
        pictures: where their pictures come from.
        cutoffs: the k of Recall@k.
        gallery: what queries without a gallery of their own choose from; the reference is never an answer there.
    """

    name: str
    queries: Sequence[Query]
    pictures: PictureSource
    cutoffs: tuple[int, ...]
    gallery: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Every picture's name once, in order of first mention."""
        named: dict[str, None] = dict.fromkeys(self.gallery)
        for query in self.queries:
            named.update(dict.fromkeys(query.needs))
        return list(named)


@dataclass(frozen=True)
class Folder:
    """PictureSource as files.

    Attributes:
        root: folder.
        paths: where below the root a name may lie, ``{}`` standing for the name; the first that exists is taken.
    """

    root: Path
    paths: tuple[str, ...] = ("{}",)

    def image(self, name: str, /) -> Image.Image:
        """The picture as its pixels are stored: EXIF orientation is not applied, because boxes refer to the pixels."""
        tried = [self.root / path.format(name) for path in self.paths]
        found = next((path for path in tried if path.is_file()), None)
        if found is None:
            raise ImageError("missing_image", f"{tried[0]} is not there")
        try:
            with Image.open(found) as image:
                return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ImageError("undecodable_image", f"{found}: {error}") from None


@dataclass
class Missing:
    """PictureSource that a task needs and that cannot be had.

    Attributes:
        reasons: a line for each picture, by name.
        queries: queries left out, because one of their own pictures is missing.
        asked: all queries of the task.
    """

    asked: int
    reasons: dict[str, str] = field(default_factory=dict)
    queries: int = 0
