"""Arrow schemas of the output tables, with a doc on every field.

The doc of a field is in the field's metadata under ``doc``; the table's name and the schema version are in the
schema's metadata under ``facetmine.table`` and ``facetmine.schema_version``. Both reach the Parquet files, so a file
explains itself: ``pyarrow.parquet.read_schema(path).field("axis").metadata``.
"""

import pyarrow as pa

VERSION = "1"
"""Version of the table contracts. It changes when a column that readers rely on changes its meaning or goes away."""


def _field(name: str, type_: pa.DataType, doc: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, type_, nullable=nullable, metadata={"doc": doc})


def _schema(table: str, doc: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"facetmine.table": table, "facetmine.schema_version": VERSION, "doc": doc})


_IMAGE_KEY = _field(
    "image_key",
    pa.int64(),
    "identity of the image across sources: 64-bit hash of the image id when it derives from a URL, "
    "else of source and image id; tables are partitioned by it",
)
_CAPTION_COLUMNS = [
    _field("image_id", pa.string(), "id of the image, as its source names it or derived from its URL"),
    _IMAGE_KEY,
    _field("caption_index", pa.int32(), "number of the caption among its image's captions, from 0"),
    _field("caption", pa.string(), "the caption, control characters and runs of white space folded to single spaces"),
    _field("source", pa.string(), "name of the input the caption comes from"),
]

CAPTIONS = _schema(
    "captions",
    "one row a caption that was read, duplicates removed",
    [*_CAPTION_COLUMNS, _field("url", pa.string(), "address of the image, where the input has one", nullable=True)],
)

ENTITY = pa.struct(
    [
        _field("head", pa.string(), "the thing's name, lower-case lemma; compounds kept ('tennis court')"),
        _field("text", pa.string(), "the words of the caption that name it"),
        _field("attributes", pa.list_(pa.string()), "what the caption says it is ('red', 'dark blue', 'smiling')"),
        _field("quantity", pa.string(), "how many, as digits where the number is plain ('2')", nullable=True),
    ]
)
RELATION = pa.struct(
    [
        _field("subject", pa.int32(), "index of the subject in entities"),
        _field("predicate", pa.string(), "verb lemma and prepositions ('sit on', 'in front of')"),
        _field("object", pa.int32(), "index of the object in entities"),
    ]
)

SCENE_GRAPHS = _schema(
    "scene_graphs",
    "one row a caption that states something: its entities and relations",
    [
        *_CAPTION_COLUMNS,
        _field("entities", pa.list_(ENTITY), "the things that the caption names"),
        _field("relations", pa.list_(RELATION), "how the things relate"),
    ],
)

FACTS = _schema(
    "facts",
    "one row a fact: one atomic statement of one caption",
    [
        *_CAPTION_COLUMNS,
        _field("kind", pa.string(), "'relation' or 'attribute'"),
        _field("subject", pa.string(), "head of the thing the fact is about"),
        _field("predicate", pa.string(), "relation facts: verb lemma and prepositions", nullable=True),
        _field("object", pa.string(), "relation facts: head of the other thing", nullable=True),
        _field("attribute", pa.string(), "attribute facts: the value ('red')", nullable=True),
        _field(
            "axis",
            pa.string(),
            "attribute facts: the axis of the value, judged by the subject ('color'; filters.axes.AXES has all)",
            nullable=True,
        ),
        _field(
            "confidence",
            pa.float32(),
            "probability that the fact is true of the caption, null where the parser gives none",
            nullable=True,
        ),
        _field(
            "entities",
            pa.list_(pa.string()),
            "heads of all things that any caption of the image names, and the "
            "last word of each compound; what is not among them the captions do not show",
        ),
    ],
)

_EMBEDDING = _field("embedding", pa.list_(pa.float16()), "vector of length 1; the model is in the manifest")

IMAGE_EMBEDDINGS = _schema(
    "image_embeddings",
    "one row an image that a fact is of and that can be had",
    [_CAPTION_COLUMNS[0], _IMAGE_KEY, _EMBEDDING],
)

TEXT_EMBEDDINGS = _schema(
    "text_embeddings",
    "one row a distinct text of a part: the captions of its facts, and the facts as sentences; each is encoded once "
    "and stands in every part that has it",
    [_field("text", pa.string(), "the caption or sentence"), _EMBEDDING],
)

SCORES = _schema(
    "scores",
    "one row a fact, in the order of the facts: how well its image fits",
    [
        *_CAPTION_COLUMNS[:3],
        _field(
            "caption_score", pa.float32(), "cosine of image and caption; null where there is no image", nullable=True
        ),
        _field("fact_score", pa.float32(), "cosine of image and fact as a sentence; the same", nullable=True),
        _field(
            "shuffled_caption_score",
            pa.float32(),
            "cosine of the caption with another image of the part, drawn by chance: how a wrong caption scores",
            nullable=True,
        ),
        _field("shuffled_fact_score", pa.float32(), "the same of the fact", nullable=True),
    ],
)

TRIPLETS = _schema(
    "triplets",
    "one row a conditional triplet: reference image, condition, target image, hard negatives",
    [
        _field("triplet_id", pa.string(), "128-bit hash, hexadecimal, of kind, condition, reference and target"),
        _field("kind", pa.string(), "'relation', or one of the other kinds of docs/architecture.md"),
        _field("condition", pa.string(), "the text given to the model beside the reference image"),
        _field("subject", pa.string(), "the thing that reference and target share"),
        _field("reference_id", pa.string(), "image id of the reference"),
        _field("reference_source", pa.string(), "source of the reference"),
        _field("reference_caption", pa.string(), "caption of the reference that names the subject"),
        _field(
            "reference_predicate", pa.string(), "what the reference states of the subject: predicate", nullable=True
        ),
        _field("reference_object", pa.string(), "what the reference states of the subject: object", nullable=True),
        _field(
            "reference_attribute", pa.string(), "what the reference states of the subject: attribute", nullable=True
        ),
        _field("target_id", pa.string(), "image id of the target"),
        _field("target_source", pa.string(), "source of the target"),
        _field("target_caption", pa.string(), "caption of the target that states the condition of the subject"),
        _field("target_predicate", pa.string(), "the fact that satisfies the condition: predicate", nullable=True),
        _field("target_object", pa.string(), "the fact that satisfies the condition: object", nullable=True),
        _field("target_attribute", pa.string(), "the fact that satisfies the condition: attribute", nullable=True),
        _field("target_second_predicate", pa.string(), "composite: the second fact's predicate", nullable=True),
        _field("target_second_object", pa.string(), "composite: the second fact's object", nullable=True),
        _field("target_second_attribute", pa.string(), "composite: the second fact's attribute", nullable=True),
        _field(
            "general",
            pa.string(),
            "the more general word that the condition uses in place of the target's (second) object or attribute; null "
            "where the condition says what the target's caption says",
            nullable=True,
        ),
        _field("axis", pa.string(), "axis of the condition, attribute kinds and composite only", nullable=True),
        _field(
            "text_distractor_id",
            pa.string(),
            "image id of the negative that satisfies the condition without the subject",
            nullable=True,
        ),
        _field("text_distractor_source", pa.string(), "source of the text distractor", nullable=True),
        _field("text_distractor_caption", pa.string(), "caption of the text distractor", nullable=True),
        _field(
            "text_distractor_subject", pa.string(), "the other thing that satisfies the condition there", nullable=True
        ),
        _field(
            "image_distractor_id",
            pa.string(),
            "image id of the negative that has the subject without the condition",
            nullable=True,
        ),
        _field("image_distractor_source", pa.string(), "source of the image distractor", nullable=True),
        _field("image_distractor_caption", pa.string(), "caption of the image distractor", nullable=True),
        _field("image_distractor_object", pa.string(), "what it states of the subject: object", nullable=True),
        _field("image_distractor_attribute", pa.string(), "what it states of the subject: attribute", nullable=True),
        _field(
            "contradiction",
            pa.string(),
            "how the image distractor fails the condition: 'exclusive value' (it states another value that excludes "
            "the condition's), 'other object' (it states another object of the subject) or 'silence'; of a composite "
            "one of the two conditions, while it satisfies the other, or both by silence",
            nullable=True,
        ),
        _field("confidence", pa.float32(), "lowest parser confidence of reference's and target's facts", nullable=True),
        _field(
            "concreteness",
            pa.float32(),
            "mean concreteness (Brysbaert et al. 2014, 1 to 5) of subject and object "
            "of reference, target and text distractor; null where no word is rated",
            nullable=True,
        ),
        _field(
            "visual_strength",
            pa.float32(),
            "visual strength (Lancaster Sensorimotor Norms, Lynott et al. 2020, 0 to 5) of the condition, or of its "
            "last word; null where that is not rated",
            nullable=True,
        ),
        _field(
            "prior",
            pa.float32(),
            "share of the subject's images that satisfy the condition, among those that can be paired; the lower, the "
            "more the condition tells",
            nullable=True,
        ),
        _field("ambiguity", pa.float32(), "attribute kinds: bits of doubt about the value's axis", nullable=True),
        _field(
            "target_score",
            pa.float32(),
            "cosine of the target with the statement that makes it the target; null, as the other scores, where no "
            "images were scored",
            nullable=True,
        ),
        _field("reference_score", pa.float32(), "cosine of the reference with the target's statement", nullable=True),
        _field(
            "text_distractor_score",
            pa.float32(),
            "cosine of the text distractor with its own statement, which satisfies the condition",
            nullable=True,
        ),
        _field(
            "image_distractor_score",
            pa.float32(),
            "cosine of the image distractor with the target's statement",
            nullable=True,
        ),
        _field("split", pa.string(), "'train' or 'val'; no image is in two splits"),
    ],
)

REJECTS = _schema(
    "rejects",
    "one row for every input row, caption or fact that does not go on, and why",
    [
        _field("stage", pa.string(), "stage that rejected it: 'read', 'parse', 'score', 'mine', 'write'"),
        _field("reason", pa.string(), "short code, stable across versions; docs/architecture.md lists them"),
        _field("detail", pa.string(), "what exactly was wrong"),
        _field("source", pa.string(), "name of the input", nullable=True),
        _field("position", pa.string(), "where in the input: file and line, row or tar member", nullable=True),
        _field("image_id", pa.string(), "image id, where known", nullable=True),
        _field("caption_index", pa.int32(), "number of the caption, where known", nullable=True),
        _field("caption", pa.string(), "the caption or raw text, cut to 1,000 characters", nullable=True),
    ],
)

JUDGEMENTS = _schema(
    "judgements",
    "one row a person's judgement of a triplet; written by `facetmine browse` beside the run, one file a sitting, and "
    "not named by the manifest",
    [
        _field("triplet_id", pa.string(), "the triplet's id"),
        _field("kind", pa.string(), "its kind"),
        _field("text_distractor_id", pa.string(), "the text distractor that was judged with it", nullable=True),
        _field("image_distractor_id", pa.string(), "the image distractor that was judged with it", nullable=True),
        _field("verdict", pa.string(), "'true', 'false' or 'unsure'"),
        _field(
            "fault",
            pa.string(),
            "false ones: the part at fault, 'reference', 'condition', 'target', 'text_distractor', 'image_distractor' "
            "or 'subject'",
            nullable=True,
        ),
        _field("judge", pa.string(), "who judged"),
        _field("judged_at", pa.timestamp("us", tz="UTC"), "when; of several of a judge and triplet the last counts"),
        _field("seed", pa.int64(), "seed of the sample that the triplet was judged in"),
    ],
)

DRAWS = _schema(
    "draws",
    "one row a drawn triplet, as numbers of facts (part of the facts table << 32 | row); internal to the mining stages",
    [
        _field("key", pa.int64(), "hash of reference image, target image and condition; decides the shard"),
        _field("kind", pa.int8(), "kind of triplet by number"),
        _field("reference", pa.int64(), "fact of the reference"),
        _field("target", pa.int64(), "fact of the target, which satisfies the condition"),
        _field("target_second", pa.int64(), "composite: the target's second fact", nullable=True),
        _field("text_distractor", pa.int64(), "fact of the text distractor"),
        _field("image_distractor", pa.int64(), "fact of the image distractor", nullable=True),
        _field("general", pa.int8(), "which of the more general words the condition uses, 0 for none", nullable=True),
        _field("contradiction", pa.int8(), "how the image distractor fails, by number", nullable=True),
        _field("split", pa.int8(), "0 train, 1 val"),
        _field("prior", pa.float32(), "share of the subject's images that satisfy the condition", nullable=True),
        _field("target_image", pa.int64(), "image_key of the target", nullable=True),
        _field("subject", pa.int64(), "hash of the subject", nullable=True),
        _field("thing", pa.int64(), "hash of what the condition asks for", nullable=True),
        _field("over", pa.bool_(), "whether a cap on the subject or its condition leaves it out", nullable=True),
    ],
)

TABLES = {
    "captions": CAPTIONS,
    "scene_graphs": SCENE_GRAPHS,
    "facts": FACTS,
    "image_embeddings": IMAGE_EMBEDDINGS,
    "text_embeddings": TEXT_EMBEDDINGS,
    "scores": SCORES,
    "triplets": TRIPLETS,
    "rejects": REJECTS,
}
"""The tables of an output dataset by name, each in a folder of that name."""


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the schema's columns, in its order and types, with its metadata.

    Columns that the schema allows to be null are added as nulls where they are missing; columns it does not know are
    dropped.

    Raises:
        ValueError: a column that may not be null is missing, has nulls, or cannot be cast; names table and column.
    """
    name = schema.metadata[b"facetmine.table"].decode()
    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            if not field.nullable:
                raise ValueError(f"table {name}: column {field.name!r} is missing")
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(index)
        if not field.nullable and column.null_count:
            raise ValueError(f"table {name}: column {field.name!r} has {column.null_count} nulls")
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise ValueError(f"table {name}: column {field.name!r}: {error}") from None
    return pa.table(columns, schema=schema)
