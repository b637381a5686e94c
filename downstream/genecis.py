"""GeneCIS (Vaze, Carion and Misra, CVPR 2023): its four tasks, from the published templates.

A template is a reference, a condition, a target, and a gallery of distractors; the target is ranked among the gallery
and itself. Object tasks name images of COCO val2017, attribute tasks boxes in images of Visual Genome 1.2, which are
cut out wider than they are and padded to a square.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from downstream.tasks import Folder, PictureSource, Query, Task, TaskError
from images import ImageError

TASKS = ("focus_attribute", "change_attribute", "focus_object", "change_object")
CUTOFFS = (1, 2, 3)
DILATION = 0.7
"""Share of a box's width and height by which it is widened."""

PUBLISHED = {
    "published Combiner on CC3M triplets, CLIP RN50x4": 16.8,
    "published Combiner on CC3M triplets, CLIP ViT-B/16": 17.6,
}
"""Average Recall@1 over the four tasks, in percent (Vaze et al. 2023)."""
NOISE = 0.2
"""Points of average Recall@1 by which runs that differ in the seed only differ (the published repository's README)."""


def read(folder: str | Path, coco: str | Path | None, visual_genome: str | Path | None) -> list[Task]:
    """The tasks whose template files are in the folder, in the published order.

    Args:
        folder: of ``focus_attribute.json`` and so on; or one such file.
        coco: folder of COCO val2017 images, for tasks that name them.
        visual_genome: folder of Visual Genome images, in one folder or in ``VG_100K`` and ``VG_100K_2``.

    Raises:
        TaskError: no template file is there, one is malformed, or a folder of images that one needs is not given.
    """
    path = Path(folder)
    files = [path] if path.is_file() else [path / f"{task}.json" for task in TASKS if (path / f"{task}.json").is_file()]
    if not files:
        raise TaskError(f"{path} holds none of {', '.join(f'{task}.json' for task in TASKS)}")
    roots = {"--images": _folder(coco), "--vg-images": _folder(visual_genome)}
    return [_task(file, read_templates(file), roots) for file in files]


@dataclass(frozen=True)
class Crop:
    """An image, or a box in it, by names such as ``2345`` and ``2345:10,20,64,48``."""

    images: PictureSource

    def image(self, name: str, /) -> Image.Image:
        """The image, or the box cut out of it and padded."""
        image_id, _, box = name.partition(":")
        image = self.images.image(image_id)
        return cut_out(image, [float(number) for number in box.split(",")]) if box else image


def cut_out(image: Image.Image, box: Sequence[float]) -> Image.Image:
    """A box of an image, dilated and padded to a square with black, as the published evaluator does it.

    The right and lower edges are counted from the dilated, not the original, left and upper edges. So a box in the
    middle of its image is dilated to the left and top only, by 0.7 of its size; that is what published figures are for.

    Args:
        image: RGB.
        box: left, top, width, height in pixels.

    Raises:
        ImageError: nothing of the image is in the box.
    """
    left, top, width, height = box
    from_left, from_top = max(0.0, left - DILATION * width), max(0.0, top - DILATION * height)
    to_right = min(image.width, from_left + (1 + DILATION) * width)
    to_bottom = min(image.height, from_top + (1 + DILATION) * height)
    if round(to_right) <= round(from_left) or round(to_bottom) <= round(from_top):
        raise ImageError(
            "undecodable_image", f"box {list(box)} holds nothing of an image of {image.width} x {image.height}"
        )
    cut = image.crop((round(from_left), round(from_top), round(to_right), round(to_bottom)))
    side = max(cut.size)
    square = Image.new(cut.mode, (side, side))
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    return square


def read_templates(path: Path) -> list[dict[str, Any]]:
    """The templates of a file.

    Raises:
        TaskError: it cannot be read or is not a list of templates; names the first template that is wrong, and why.
    """
    try:
        templates = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from None
    if not isinstance(templates, list) or not templates:
        raise TaskError(f"{path} is not a list of templates")
    for number, template in enumerate(templates):
        wrong = _wrong(template)
        if wrong:
            raise TaskError(f"{path}: template {number} {wrong}")
    return templates


def _task(file: Path, templates: list[dict[str, Any]], roots: dict[str, Path | None]) -> Task:
    shown = [template["reference"] for template in templates]
    option = "--vg-images" if any("image_id" in picture for picture in shown) else "--images"
    root = roots[option]
    if root is None:
        raise TaskError(f"{file.name} needs {option}, the folder of its images")
    pictures = Folder(root, ("{}.jpg", "VG_100K/{}.jpg", "VG_100K_2/{}.jpg", "val2017/{}.jpg", "{}.png"))
    queries = [
        Query(
            reference=_name(template["reference"]),
            condition=template["condition"],
            right=(_name(template["target"]),),
            gallery=tuple(map(_name, template["gallery"])),
        )
        for template in templates
    ]
    return Task(file.stem, queries, Crop(pictures), CUTOFFS)


def _name(picture: dict[str, Any]) -> str:
    if "val_image_id" in picture:
        return f"{int(picture['val_image_id']):012d}"
    box = picture.get("instance_bbox")
    return str(picture["image_id"]) + (":" + ",".join(map(str, box)) if box else "")


def _wrong(template: Any) -> str:
    """What is wrong with a template; nothing when it is right."""
    if not isinstance(template, dict):
        return "is not an object"
    for key in ("condition", "reference", "target", "gallery"):
        if key not in template:
            return f"has no {key!r}"
    if not isinstance(template["condition"], str):
        return "has a condition that is not text"
    if not isinstance(template["gallery"], list) or not template["gallery"]:
        return "has a gallery that is not a list of images"
    for picture in (template["reference"], template["target"], *template["gallery"]):
        if not isinstance(picture, dict) or not ("val_image_id" in picture or "image_id" in picture):
            return "names an image by neither 'val_image_id' nor 'image_id'"
        if "val_image_id" in picture and not str(picture["val_image_id"]).isdecimal():
            return f"has a val_image_id that is no number: {picture['val_image_id']!r}"
        box = picture.get("instance_bbox")
        if box is not None and (len(box) != 4 or not all(isinstance(number, int | float) for number in box)):
            return f"has an instance_bbox that is not [left, top, width, height]: {box!r}"
    return ""


def _folder(path: str | Path | None) -> Path | None:
    if path is None:
        return None
    if not Path(path).is_dir():
        raise TaskError(f"{path} is not a folder")
    return Path(path)
