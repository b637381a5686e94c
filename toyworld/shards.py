"""A toy data set on disk: WebDataset shards as img2dataset lays them out, and the truth beside them."""

import io
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from toyworld.captions import KINDS, Caption, describe, swap_word, wrong_caption
from toyworld.rendering import render
from toyworld.scenes import Scene, World
from toyworld.truth import Fact, facts

PER_SHARD = 1000
WRONG_KINDS = ("scene", "word", "both")

CAPTIONS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("caption_index", pa.int32(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("right", pa.bool_(), nullable=False),
    ]
)
FACTS = pa.schema(
    [pa.field("image_id", pa.string(), nullable=False), *(pa.field(name, pa.string()) for name in Fact._fields)]
)


@dataclass(frozen=True)
class Sample:
    """One picture with its caption.

    Attributes:
        image_id: its key in the shards.
        scene: what it shows.
        caption: what is said of it.
        right: whether that is true.
    """

    image_id: str
    scene: Scene
    caption: Caption
    right: bool


def sample(world: World, seed: int, number: int, wrong: float = 0.0, wrong_kind: str = "scene") -> Sample:
    """Picture ``number`` of the data set of a seed; which pictures there are besides does not matter.

    The picture and its right caption are the same whatever the share of wrong captions, and what is wrong at a share
    is wrong at every larger one.
    """
    rng = random.Random(f"{seed}/{number}")
    scene = world.scene(rng)
    caption = describe(scene, rng)
    right = rng.random() >= wrong
    if not right:
        caption = _wrong(caption, scene, world, wrong_kind, rng)
    return Sample(f"{number // PER_SHARD:05d}{number % PER_SHARD:04d}", scene, caption, right)


def write(folder: Path, images: int, *, wrong: float, wrong_kind: str, seed: int, world: World) -> None:
    """Writes ``shards/00000.tar`` and so on, ``truth/captions.parquet`` and ``truth/facts.parquet``.

    The same arguments give the same bytes (with the same releases of Pillow and pyarrow).

    Args:
        images: how many pictures.
        wrong: share of pictures with a wrong caption, 0 to 1.
        wrong_kind: one of ``WRONG_KINDS``: a caption of another scene, one with a wrong word, either by halves.

    Raises:
        OSError: the folder cannot be written to.
    """
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    with (
        pq.ParquetWriter(folder / "truth" / "captions.parquet", CAPTIONS) as captions,
        pq.ParquetWriter(folder / "truth" / "facts.parquet", FACTS) as all_facts,
    ):
        for first in range(0, images, PER_SHARD):
            numbers = range(first, min(first + PER_SHARD, images))
            samples = [sample(world, seed, number, wrong, wrong_kind) for number in numbers]
            _write_shard(folder / "shards" / f"{first // PER_SHARD:05d}.tar", samples)
            rows = [
                {"image_id": one.image_id, "caption_index": 0, "caption": one.caption.text, "right": one.right}
                for one in samples
            ]
            captions.write_table(pa.Table.from_pylist(rows, CAPTIONS))
            all_facts.write_table(_fact_table(samples))


def png(scene: Scene) -> bytes:
    """The picture of a scene as a PNG file.

    Raises:
        ImportError: there is no Pillow, which is an extra.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(render(scene)).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _wrong(caption: Caption, scene: Scene, world: World, wrong_kind: str, rng: random.Random) -> Caption:
    if wrong_kind == "word" or (wrong_kind == "both" and rng.random() < 0.5):
        for kind in rng.sample(KINDS, len(KINDS)):
            swapped = swap_word(caption, kind, scene, world, rng)
            if swapped is not None:
                return swapped
    return wrong_caption(scene, world, rng)


def _write_shard(path: Path, samples: list[Sample]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for one in samples:
            for extension, content in _members(one):
                header = tarfile.TarInfo(f"{one.image_id}.{extension}")
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))


def _members(one: Sample) -> Iterator[tuple[str, bytes]]:
    yield "png", png(one.scene)
    yield "txt", one.caption.text.encode()
    yield "json", json.dumps({"key": one.image_id, "caption": one.caption.text, "status": "success"}).encode()


def _fact_table(samples: list[Sample]) -> pa.Table:
    rows = [(one.image_id, *fact) for one in samples for fact in facts(one.scene)]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=FACTS)
