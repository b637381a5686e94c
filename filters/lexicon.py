"""The tables of ``filters/data``: tab-separated, with a header, read once a process."""

import csv
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "data"


def rows(name: str) -> list[dict[str, str]]:
    """Rows of the table of that name, by column."""
    with (_FOLDER / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@cache
def mapping(name: str, key: str, value: str) -> dict[str, str]:
    """A table of two columns as a dictionary."""
    return {row[key]: row[value] for row in rows(name)}
