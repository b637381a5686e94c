"""Stage score: how well each image fits its captions and each of their facts, by a CLIP model's cosines.

Three pipelines. The first collects the distinct texts, captions and facts as sentences, over the whole job. The second
encodes images and texts, each once, in chunks that are written as they come, so that an interrupted run goes on with
the chunks that are missing. The third puts images and texts of a part beside each other. Embeddings go from worker to
worker through files, never through a shuffle: they are the largest thing in the job.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import RunInference

from filters import fit
from images import ImageStore
from images.sources import expand
from pipeline import encoding
from pipeline.config import ScoreConfig
from pipeline.embeddings import EmbeddingsError, Precomputed
from pipeline.encoding import MEMORY_PER_WEIGHT_BYTE, Chunk, OpenClipHandler
from pipeline.parts import PartDoFn
from pipeline.readers.identity import hash64
from pipeline.rejects import count_reasons
from pipeline.routing import Batch, GroupParts, Route, Routed, join, split
from pipeline.runner import UsageError
from pipeline.store import STAGES, Receipt, Store, StoreError, part_name
from pipeline.vectors import cosines, vectors_of
from pipeline.wording import Templates
from schemas import IMAGE_EMBEDDINGS, REJECTS, SCORES, TEXT_EMBEDDINGS, conform

IMAGES_PER_CHUNK = 2048
TEXTS_PER_CHUNK = 8192

_SAID = ("subject", "predicate", "object", "attribute")
_WANTED = pa.schema([pa.field("text", pa.string()), pa.field("part", pa.int64())])
_NOTHING = pa.table({})
_SHUFFLE = 0x5C02E


def templates_of(config: ScoreConfig) -> Templates:
    """How facts are put.

    Raises:
        UsageError: a template is none.
    """
    try:
        return Templates(config.relation_template, config.attribute_template)
    except ValueError as error:
        raise UsageError(str(error)) from None


def prepare(config: ScoreConfig, index: Path | None, *, shared: bool) -> tuple[OpenClipHandler, dict[str, Any]]:
    """What encodes, and what it is: all that the scores depend on.

    Args:
        index: where the images' index is or shall be.
        shared: whether processes of a machine are to share one copy of the model.

    Raises:
        UsageError: an extra is not installed, or the images or embeddings cannot be used.
        StoreError: the model cannot be had.
    """
    model = (config.model, config.pretrained, config.device, config.precision)
    images, told = _images(config, index)
    try:
        loaded = encoding.encoder(*model)
    except ImportError as error:
        raise UsageError(str(error)) from None
    except Exception as error:
        if type(error).__name__ != "EncoderError":  # whose module cannot be imported without the extra
            raise
        raise StoreError(str(error)) from None
    if isinstance(images, Precomputed) and images.dimension != loaded.dimension:
        raise UsageError(
            f"{images.folder} holds embeddings of {images.dimension} numbers, and those of {loaded.name} have "
            f"{loaded.dimension}: give the model that they were made with"
        )
    hints = {"min_ram": f"{loaded.weight_bytes * MEMORY_PER_WEIGHT_BYTE}B"}
    if config.accelerator is not None:
        hints["accelerator"] = config.accelerator
    handler = OpenClipHandler(model, images, loaded.preprocess, config.batch, shared=shared, hints=hints)
    templates = templates_of(config)
    return handler, {
        **told, "model": loaded.name, "model_fingerprint": loaded.fingerprint, "precision": loaded.precision,
        "templates": asdict(templates),
    }  # fmt: skip


def _images(config: ScoreConfig, index: Path | None) -> tuple[ImageStore | Precomputed, dict[str, Any]]:
    if config.image_embeddings is not None:
        try:
            embeddings = Precomputed(config.image_embeddings)
        except (EmbeddingsError, OSError) as error:
            raise UsageError(str(error)) from None
        return embeddings, {"inputs": embeddings.files, "image_embeddings": config.image_embeddings}
    if index is None:
        raise UsageError("images are scored into a local output folder: their index is made there")
    try:
        images = ImageStore.open(config.images, index)
        files = [asdict(source) for source in expand(list(config.images))]
    except ValueError as error:
        raise UsageError(str(error)) from None
    return images, {"inputs": files, "images": list(config.images)}


class CollectTexts(beam.PTransform):
    """First pipeline: every distinct text once, with the parts that need it."""

    def __init__(self, store: Store, step: str, templates: Templates, partitions: int) -> None:
        super().__init__()
        self._store, self._step, self._templates, self._partitions = store, step, templates, partitions

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        store, templates, partitions = self._store, self._templates, self._partitions
        return (
            pipeline
            | "Parts" >> beam.Create(range(partitions), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "TextsOfPart" >> Route(lambda part: texts_of_part(store, part, templates, partitions))
            | "ByText" >> GroupParts(partitions)
            | "WriteTexts" >> beam.ParDo(_WriteTexts(store, self._step))
        )


class Encode(beam.PTransform):
    """Second pipeline: images and texts to embeddings. Parts 0..P-1 are the images', P..2P-1 the texts'."""

    def __init__(self, store: Store, step: str, handler: OpenClipHandler, partitions: int) -> None:
        super().__init__()
        self._store, self._step, self._handler, self._partitions = store, step, handler, partitions

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        store, step, partitions = self._store, self._step, self._partitions
        return (
            pipeline
            | "Parts" >> beam.Create(range(2 * partitions), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "Chunks"
            >> beam.FlatMap(lambda number: chunks_to_encode(store, step, number, partitions)).with_output_types(Chunk)
            | "SpreadChunks" >> beam.Reshuffle()
            | "Prebatched" >> beam.Map(lambda chunk: [chunk])
            | "Encode" >> RunInference(self._handler)
            | "WriteChunk" >> beam.Map(lambda chunk: write_chunk(store, chunk)).with_output_types(Routed)
            | "ByPart" >> GroupParts(2 * partitions)
            | "JoinChunks" >> beam.ParDo(_JoinChunks(store, encode_step(step), step, partitions))
        )


class ScoreFacts(beam.PTransform):
    """Third pipeline: the cosines of every part."""

    def __init__(self, store: Store, step: str, templates: Templates, partitions: int) -> None:
        super().__init__()
        self._work = _ScorePart(store, step, templates, partitions)
        self._partitions = partitions

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "Parts" >> beam.Create(range(self._partitions), reshuffle=False)
            | "SpreadParts" >> beam.Reshuffle()
            | "ScorePart" >> beam.ParDo(self._work)
        )


def texts_step(step: str) -> str:
    """Where the receipts of the first pipeline are."""
    return f"{step}.texts"


def encode_step(step: str) -> str:
    """Where the receipts of the second pipeline are; those of images count the stage's rows."""
    return f"{step}.encode"


def texts_of_part(store: Store, part: int, templates: Templates, partitions: int) -> Iterator[Routed]:
    """The distinct captions and sentences of a part's facts, to the parts of texts."""
    facts = store.read_table(_facts_path(part, partitions), ("caption", *_SAID))
    texts = pc.unique(pa.concat_arrays([facts["caption"].combine_chunks(), templates.sentences(facts)]))
    table = pa.table({"text": texts, "part": np.full(len(texts), part)}, schema=_WANTED)
    home = hash64(texts.to_pylist()).view(np.uint64) % np.uint64(partitions)
    yield from split(table, home.astype(np.int64))


def chunks_to_encode(store: Store, step: str, number: int, partitions: int) -> Iterator[Chunk]:
    """The chunks of a part that are not encoded yet."""
    if store.receipt(encode_step(step), number) is not None:
        return
    if number < partitions:
        rows, size = _images_of_part(store, number, partitions), IMAGES_PER_CHUNK
    else:
        rows = store.read_table(_texts_path(step, number - partitions), ["text"])
        rows, size = pa.table({"text": pc.unique(rows["text"].combine_chunks())}), TEXTS_PER_CHUNK
    for start in range(0, len(rows), size):
        path = f"{_chunks_folder(step, number)}/{start:010d}.arrow"
        if not store.exists(path):
            yield path, number, Batch(rows.slice(start, size))


def write_chunk(store: Store, chunk: Chunk) -> Routed:
    """Write a chunk's embeddings; gives the part it is of."""
    path, number, rows = chunk
    store.write_bytes(path, rows.to_stream())
    return number, Batch(_NOTHING)


class _WriteTexts(PartDoFn):
    def __init__(self, store: Store, step: str) -> None:
        super().__init__(store, texts_step(step))
        self._stage_step = step

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        wanted = join(batches, _WANTED).sort_by([("text", "ascending"), ("part", "ascending")])
        sink = pa.BufferOutputStream()
        pq.write_table(wanted, sink, compression="zstd")
        self.store.write_bytes(_texts_path(self._stage_step, part), memoryview(sink.getvalue()))
        return Receipt(part, totals={"texts": [len(pc.unique(wanted["text"]))]})


class _JoinChunks(PartDoFn):
    def __init__(self, store: Store, step: str, stage_step: str, partitions: int) -> None:
        super().__init__(store, step)
        self._stage_step, self._partitions = stage_step, partitions

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        folder = _chunks_folder(self._stage_step, part)
        read = self.store.filesystem.cat_file
        tables = [Batch.from_stream(read(self.store.path(f"{folder}/{name}"))).table
                  for name in self.store.names(folder)]  # fmt: skip
        rows = pa.concat_tables(tables).combine_chunks() if tables else None
        if part >= self._partitions:
            return self._join_texts(part, rows)
        return self._join_images(part, rows)

    def _join_images(self, part: int, rows: pa.Table | None) -> Receipt:
        name = part_name(part, self._partitions)
        images = IMAGE_EMBEDDINGS.empty_table() if rows is None else rows.filter(rows["embedding"].is_valid())
        rejects = REJECTS.empty_table()
        if rows is not None:
            lost = rows.filter(rows["embedding"].is_null())
            rejects = conform(lost.append_column("stage", pa.array(["score"] * len(lost), pa.string())), REJECTS)
        return Receipt(
            part,
            rows_in=len(images) + len(rejects),
            rows_out=len(images),
            rejects=count_reasons(rejects),
            files=[
                self.store.write_table(f"image_embeddings/{name}.parquet", images, IMAGE_EMBEDDINGS),
                self.store.write_table(f"rejects/score-{name}.parquet", rejects, REJECTS),
            ],
        )

    def _join_texts(self, part: int, rows: pa.Table | None) -> Receipt:
        """Texts by the parts that need them: an Arrow file of a record batch a part."""
        wanted = self.store.read_table(_texts_path(self._stage_step, part - self._partitions))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, TEXT_EMBEDDINGS) as writer:
            for asking in range(self._partitions):
                texts = wanted["text"].filter(pc.equal(wanted["part"], asking))
                found = TEXT_EMBEDDINGS.empty_table()
                if rows is not None:
                    found = conform(rows.take(pc.index_in(texts, rows["text"].combine_chunks())), TEXT_EMBEDDINGS)
                writer.write_batch(pa.RecordBatch.from_struct_array(found.to_struct_array().combine_chunks()))
        path = _answers_path(self._stage_step, part - self._partitions)
        self.store.write_bytes(path, memoryview(sink.getvalue()))
        return Receipt(part)


class _ScorePart(PartDoFn):
    def __init__(self, store: Store, step: str, templates: Templates, partitions: int) -> None:
        super().__init__(store, step)
        self._templates, self._partitions = templates, partitions

    def work(self, part: int, batches: Iterable[Batch]) -> Receipt:
        name = part_name(part, self._partitions)
        columns = ("image_id", "image_key", "caption_index", "caption", *_SAID)
        facts = self.store.read_table(_facts_path(part, self._partitions), columns)
        images = self.store.read_table(f"image_embeddings/{name}.parquet")
        texts = pa.concat_tables(self._texts(part)).sort_by("text").combine_chunks()
        scores = score(facts, images, texts, self._templates, part)
        return Receipt(
            part,
            files=[
                self.store.write_table(f"text_embeddings/{name}.parquet", texts, TEXT_EMBEDDINGS),
                self.store.write_table(f"scores/{name}.parquet", scores, SCORES),
            ],
            totals={
                "captions": fit.histogram(
                    scores["caption_score"].filter(pa.array(fit.first_of_captions(scores)))
                ).tolist()
            },
        )

    def _texts(self, part: int) -> Iterator[pa.Table]:
        for other in range(self._partitions):
            path = self.store.path(_answers_path(self.step, other))
            with self.store.filesystem.open(path, "rb") as file, pa.ipc.open_file(pa.PythonFile(file)) as reader:
                yield pa.Table.from_batches([reader.get_batch(part)])


def score(facts: pa.Table, images: pa.Table, texts: pa.Table, templates: Templates, part: int) -> pa.Table:
    """The cosines of facts (schemas.SCORES).

    Args:
        facts: columns of schemas.FACTS: image_id, image_key, caption_index, caption, and what they say.
        images: schemas.IMAGE_EMBEDDINGS of the same images, but for those that cannot be had.
        texts: schemas.TEXT_EMBEDDINGS of all captions and sentences of the facts.
        part: number of the part, from which it follows which other image each image's texts are compared with.
    """
    keys = images["image_key"].to_numpy()
    order = np.argsort(keys)
    vectors, sentences = vectors_of(images["embedding"]), vectors_of(texts["embedding"])
    found = np.minimum(np.searchsorted(keys[order], facts["image_key"].to_numpy()), max(len(keys) - 1, 0))
    image = np.full(len(facts), -1)
    if len(keys):
        image = np.where(keys[order][found] == facts["image_key"].to_numpy(), order[found], -1)
    other = np.full(len(keys) + 1, -1)  # the last is of images that are not there
    if len(keys) > 1:
        ring = np.random.default_rng([_SHUFFLE, part]).permutation(order)
        other[ring] = np.roll(ring, 1)
    known = texts["text"].combine_chunks()
    columns = {}
    for name, said in (("caption", facts["caption"]), ("fact", templates.sentences(facts))):
        text = pc.index_in(said, known).to_numpy()
        columns[f"{name}_score"] = _column(cosines(vectors, image, sentences, text))
        columns[f"shuffled_{name}_score"] = _column(cosines(vectors, other[image], sentences, text))
    return pa.table({name: facts[name] if name in facts.column_names else columns[name] for name in SCORES.names})


def _column(scores: np.ndarray) -> pa.Array:
    return pa.array(scores, from_pandas=True)


def _images_of_part(store: Store, part: int, partitions: int) -> pa.Table:
    facts = store.read_table(_facts_path(part, partitions), ("image_id", "image_key", "source"))
    _, first = np.unique(facts["image_key"].to_numpy(), return_index=True)
    return facts.take(pa.array(first)).combine_chunks()


def _facts_path(part: int, partitions: int) -> str:
    return f"facts/{part_name(part, partitions)}.parquet"


def _texts_path(step: str, part: int) -> str:
    return f"{STAGES}/{texts_step(step)}/texts-{part:05d}.parquet"


def _answers_path(step: str, part: int) -> str:
    return f"{STAGES}/{encode_step(step)}/texts-{part:05d}.arrow"


def _chunks_folder(step: str, number: int) -> str:
    return f"{STAGES}/{step}.chunks/{number:05d}"
