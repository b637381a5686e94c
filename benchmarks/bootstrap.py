"""Large inputs out of real parsed captions, for benchmarks: the same distribution of facts over more images."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.job import Job
from pipeline.readers.identity import hash64
from pipeline.runner import Runner, parse_beam_options
from pipeline.store import Receipt, Store, part_name
from schemas import FACTS
from schemas.manifest import Manifest


def write_captions(output: str, dataset: str, captions: int, *, fresh: float, seed: int = 0) -> None:
    """Write a Parquet file of about that many captions, as an input for facetmine.

    Images are drawn from the real ones with replacement, with all their captions, under new ids. That alone would say
    nothing new after the first few ten thousand, and what can be mined would cease to grow. So a share of the things
    that captions name is replaced by things of other captions, which come as often as they really do.

    Args:
        dataset: real captions, parsed.
        fresh: share of the things that are replaced.
    """
    generator = np.random.default_rng(seed)
    store, manifest = Store(dataset), Manifest.read(dataset)
    columns = ["image_key", "caption", "entities"]
    graphs = pa.concat_tables([store.read_table(file.path, columns) for file in manifest.files("scene_graphs")])
    graphs = graphs.sort_by("image_key").combine_chunks()
    keys, texts = graphs["image_key"].to_numpy(), graphs["caption"].to_pylist()
    things = [
        [entity["head"] for entity in entities if entity["head"] in entity["text"].split()]
        for entities in graphs["entities"].to_pylist()
    ]
    every = np.array([thing for of_caption in things for thing in of_caption], object)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    lengths = np.diff(np.append(starts, len(keys)))
    drawn = generator.integers(0, len(starts), int(captions / lengths.mean()))
    written: tuple[list[str], list[str]] = ([], [])
    for image, (start, length) in enumerate(zip(starts[drawn].tolist(), lengths[drawn].tolist(), strict=True)):
        for row in range(start, start + length):
            changed = dict.fromkeys(things[row])
            random = generator.random(len(changed))
            new = every[generator.integers(0, len(every), len(changed))]
            swaps = {old: to for old, to, chance in zip(changed, new, random, strict=True) if chance < fresh}
            written[0].append(f"image-{image}")
            written[1].append(" ".join(swaps.get(word, word) for word in texts[row].split(" ")))
    pq.write_table(pa.table(written, names=["image_id", "caption"]), output, row_group_size=1 << 16)


def real_facts(dataset: str) -> pa.Table:
    """All facts of a dataset that has been parsed, sorted by image."""
    store = Store(dataset)
    tables = [store.read_table(file.path) for file in Manifest.read(dataset).files("facts")]
    return pa.concat_tables(tables).sort_by("image_key").combine_chunks()


def write_facts(
    output: str, real: pa.Table, rows: int, partitions: int, *, hot_share: float = 0.0, seed: int = 0
) -> None:
    """Write a dataset of about that many facts, as stage parse would have left it.

    Images are drawn from the real ones with replacement, with all their facts, under new ids; so a fact occurs with its
    real frequency and beside its real neighbours.

    Args:
        hot_share: share of the facts whose subject becomes ``"person"``, whole images at a time.
    """
    generator = np.random.default_rng(seed)
    keys = real["image_key"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    lengths = np.diff(np.append(starts, len(keys)))
    drawn = generator.integers(0, len(starts), int(rows / lengths.mean()))
    counts = lengths[drawn]
    owner = np.repeat(np.arange(len(drawn)), counts)
    row = starts[drawn][owner] + np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
    names = np.char.add("image-", np.arange(len(drawn)).astype(str))
    new_keys = hash64(names.tolist())
    part_of_image = (new_keys.view(np.uint64) % np.uint64(partitions)).astype(np.int64)
    hot = generator.random(len(drawn)) < hot_share
    job = Job(output, Runner(parse_beam_options([])))
    order = np.argsort(part_of_image[owner], kind="stable")
    bounds = np.searchsorted(part_of_image[owner][order], np.arange(partitions + 1))
    receipts = []
    for part in range(partitions):
        mine = order[bounds[part] : bounds[part + 1]]
        mine = mine[np.argsort(new_keys[owner[mine]], kind="stable")]
        facts = real.take(pa.array(row[mine]))
        subject = pc.if_else(pa.array(hot[owner[mine]]), "person", facts["subject"])
        for name, column in (
            ("image_id", pa.array(names[owner[mine]])),
            ("image_key", pa.array(new_keys[owner[mine]])),
            ("subject", subject),
        ):
            facts = facts.set_column(facts.schema.get_field_index(name), FACTS.field(name), column)
        if hot_share:
            facts = _add_entity(facts, hot[owner[mine]], "person")
        file = job.store.write_table(f"facts/{part_name(part, partitions)}.parquet", facts, FACTS)
        receipts.append(Receipt(part, len(facts), len(facts), files=[file]))
    job.adopt_facts(receipts, partitions)


def _add_entity(facts: pa.Table, where: np.ndarray, name: str) -> pa.Table:
    lists = facts["entities"].combine_chunks().to_pylist()
    changed = [sorted({*names, name}) if hot else names for names, hot in zip(lists, where, strict=True)]
    column = pa.array(changed, FACTS.field("entities").type)
    return facts.set_column(facts.schema.get_field_index("entities"), FACTS.field("entities"), column)
