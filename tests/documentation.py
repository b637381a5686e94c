"""The commands of README and docs: which blocks of a page are code, and which of them are not to be run."""

import re
from dataclasses import dataclass
from pathlib import Path

from commands import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("sh", "console", "sql", "python")
"""Languages of blocks that are run. Others show data and drawings."""

_FENCE = re.compile(r"^\s*```(\w*)\s*$")
_NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        place: page and line, for messages.
        language: what stands behind the fence.
        text: what is in the block.
        not_run: why it is not run; empty for blocks that are.
    """

    place: str
    language: str
    text: str
    not_run: str

    @property
    def commands(self) -> list[str]:
        """Command lines of a block of sh, or behind the $ of one of console; those that go over lines in one piece."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        if self.language == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    before = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            marker = _NOT_RUN.match(before)
            opened, inside = (number, fence[1], marker[1] if marker else ""), []
        elif opened is not None and fence:
            found.append(Block(f"{page.name}:{opened[0]}", opened[1], "\n".join(inside) + "\n", opened[2]))
            opened = None
        elif opened is not None:
            inside.append(line)
        before = line.strip() or before
    assert opened is None, f"{page.name}:{opened and opened[0]}: the block does not end"
    return found


def mentions(page: Path) -> list[str]:
    """Commands that a page names in the middle of a sentence: ``facetmine query OUT`` in backticks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`(facetmine [^`]+)`", text)]
