"""CIRR (Liu et al., ICCV 2021): two real images and how the second differs, in a few words.

The target is ranked among all images of the split without the reference (Recall@1, 5, 10), and among the five other
images of its own set of six similar ones (subset Recall@1, 2, 3).
"""

import json
from pathlib import Path
from typing import Any

from downstream.tasks import Folder, Query, Task, TaskError

CUTOFFS = (1, 5, 10)
SUBSET_CUTOFFS = (1, 2, 3)


def read(root: str | Path, split: str = "val") -> list[Task]:
    """The global and the subset task of a split whose targets are published (val, train).

    Args:
        root: holds ``captions/cap.rc2.SPLIT.json`` and ``image_splits/split.rc2.SPLIT.json``, itself or under
            ``cirr/``, and the images where the latter says.

    Raises:
        TaskError: a file is not there or malformed.
    """
    folder = Path(root)
    annotations = folder / "cirr" if (folder / "cirr").is_dir() else folder
    paths = _load(annotations / "image_splits" / f"split.rc2.{split}.json")
    pairs = _load(annotations / "captions" / f"cap.rc2.{split}.json")
    if not isinstance(paths, dict) or not isinstance(pairs, list):
        raise TaskError(f"{annotations} is not CIRR's: the split must be an object and the captions a list")
    # The images' paths are their names from here on; "./dev/dev-0-0-img0.png" is the same with and without the dot.
    paths = {name: Path(path).as_posix() for name, path in paths.items()}
    whole, subset = [], []
    for number, pair in enumerate(pairs):
        try:
            reference, target = paths[pair["reference"]], paths[pair["target_hard"]]
            members = [paths[name] for name in pair["img_set"]["members"]]
            caption = pair["caption"]
        except (KeyError, TypeError) as error:
            raise TaskError(
                f"cap.rc2.{split}.json: pair {number} lacks {error}, or names an image not in the split"
            ) from None
        whole.append(Query(reference, caption, (target,)))
        others = tuple(path for path in members if path not in (reference, target))
        subset.append(Query(reference, caption, (target,), gallery=others))
    pictures = Folder(folder)
    return [
        Task("cirr", whole, pictures, CUTOFFS, gallery=tuple(paths.values())),
        Task("cirr_subset", subset, pictures, SUBSET_CUTOFFS),
    ]


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from None
