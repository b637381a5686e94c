"""Who an image is: which fields of a record say so, and the ids made of URLs.

Captions and images come by different ways, and meet because both name an image by these rules: an id that the record
brings along is kept, one that derives from a URL is the URL's BLAKE2b digest (RFC 7693: the same in every process,
library and year), and a sample of a WebDataset tar without URL is named by its key.
"""

import json
import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

CAPTION_NAMES = ("caption", "text", "alt", "title", "captions")
IMAGE_ID_NAMES = ("image_id", "id", "key", "image", "file_name")
URL_NAMES = ("url", "image_url")
"""Names of columns and JSON keys, in any case, best first. A list of captions makes several rows."""


def url_ids(urls: Sequence[str]) -> list[str]:
    """The image id of each URL: 32 hexadecimal digits, the 16-byte BLAKE2b digest of the URL without outer white space.

    Raises:
        UnicodeEncodeError: a URL holds half a surrogate pair and so has no UTF-8.
    """
    return [blake2b(url.strip().encode(), digest_size=16).hexdigest() for url in urls]


def sample_key(name: str) -> str:
    """The key of the WebDataset sample that a tar member belongs to: its path up to the first dot of its name."""
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.partition('.')[0]}"


def find_names(names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Which of the columns hold captions, image ids and URLs: three lists of names as given, the best first."""
    by_folded: dict[str, str] = {}
    for name in names:
        by_folded.setdefault(name.strip().lower(), name)
    caption, image_id, url = (
        [by_folded[name] for name in known if name in by_folded] for known in (CAPTION_NAMES, IMAGE_ID_NAMES, URL_NAMES)
    )
    return caption, image_id, url


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that the text is.

    Raises:
        ValueError: it is not JSON, or JSON but no object; says which.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def record_fields(record: Mapping[str, Any]) -> tuple[list[str | None], str | None, str | None]:
    """Captions (at least one, None where there is none), image id and URL of one JSON object."""
    captions = _captions(record)
    image_id, url = _identifier(record, IMAGE_ID_NAMES), _identifier(record, URL_NAMES)
    if captions == [None] or (image_id is None and url is None):
        folded = {str(key).strip().lower(): value for key, value in reversed(list(record.items()))}
        if folded.keys() != record.keys():
            return _captions(folded), _identifier(folded, IMAGE_ID_NAMES), _identifier(folded, URL_NAMES)
    return captions, image_id, url


def _captions(record: Mapping[str, Any]) -> list[str | None]:
    for name in CAPTION_NAMES:
        value = record.get(name)
        if isinstance(value, str) and value:
            return [value]
        if isinstance(value, list) and value:
            return [item if isinstance(item, str) else None for item in value]
    return [None]


def _identifier(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)  # pandas turns whole numbers to floats where others are missing
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return None
