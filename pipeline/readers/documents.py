"""COCO captions: one JSON document a file."""

import json
from collections.abc import Iterator
from typing import Any

from .files import Split, blocks
from .rows import RowBuilder


def read_coco(split: Split, builder: RowBuilder) -> Iterator[None]:
    """Adds the annotations of a COCO captions file; yields once.

    An image's id is COCO's number, its URL is ``coco_url`` where the file's list of images has one.
    """
    # COCO's largest captions file is 90 MB; such a document is read whole. Bytes that are not UTF-8 go through, to be
    # rejected with the one caption that holds them.
    content = b"".join(blocks(split.path, split.start, split.compression))
    try:
        document = json.loads(content.decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        builder.reject("bad_json", f"not a JSON document: {error}")
        return
    del content
    annotations = document.get("annotations") if isinstance(document, dict) else None
    if not isinstance(annotations, list) or not any(
        "caption" in item for item in annotations if isinstance(item, dict)
    ):
        builder.reject("missing_columns", "not COCO captions: no list 'annotations' of objects with a 'caption'")
        return
    image_urls = _image_urls(document)
    positions: list[int] = []
    captions: list[str | None] = []
    image_ids: list[str | None] = []
    for number, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            detail = f"expected a JSON object, found {type(annotation).__name__}"
            builder.reject("bad_json", detail, f"annotation {number}", None, str(annotation)[:1000])
            continue
        caption = annotation.get("caption")
        positions.append(number)
        captions.append(caption if isinstance(caption, str) else None)
        image_ids.append(_image_id(annotation.get("image_id")))
    # A row without image id has no URL either: both come by COCO's number.
    urls = [image_urls.get(image_id) for image_id in image_ids]
    builder.add(positions, captions, image_ids, urls, lambda position: f"annotation {position}")
    yield


def _image_urls(document: dict[str, Any]) -> dict[str | None, str]:
    images = document.get("images")
    urls: dict[str | None, str] = {}
    for image in images if isinstance(images, list) else []:
        if isinstance(image, dict) and isinstance(image.get("coco_url"), str):
            image_id = _image_id(image.get("id"))
            if image_id is not None:
                urls[image_id] = image["coco_url"]
    return urls


def _image_id(value: Any) -> str | None:
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
