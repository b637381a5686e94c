"""What the mining stages are told: presets and configuration files, resolved and checked.

A configuration is a TOML file; ``pipeline/presets`` holds the ones that come with facetmine. What is resolved is
recorded in the manifest.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from filters.axes import AXES
from filters.fit import Margins

KINDS = ("relation", "change_attribute", "focus_attribute", "change_object", "focus_object", "composite")
"""Kinds of triplets; a kind's number in the mining stages is its position here."""

FOCUS_KINDS = frozenset({"focus_attribute", "focus_object"})
"""Kinds whose reference satisfies the condition, as the target does."""

FAMILIES = ("relation", "attribute", "object", "composite")
"""What facts are mined as (see pipeline/candidates.py)."""

KINDS_OF_FAMILY = {
    "relation": frozenset({"relation"}),
    "attribute": frozenset({"change_attribute", "focus_attribute"}),
    "object": frozenset({"change_object", "focus_object"}),
    "composite": frozenset({"composite"}),
}

SAMPLERS = ("facts", "genecis")

PRECISIONS = ("fp32", "bf16", "fp16")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file, key and what it may be."""


@dataclass(frozen=True)
class MiningConfig:
    """Settings of the mine and write stages. Limits are None where there is none.

    Attributes:
        sampler: ``"facts"`` (pipeline/contrasts.py) or ``"genecis"``, the published one (pipeline/genecis.py).
        kinds: kinds of triplets to mine.
        weights: how many of each kind beside the others, as far as each can be had; one a kind.
        axes: axes of the attributes to mine.
        triplets: how many triplets; None for one a fact that can be a target.
        seed: every random choice derives from it.
        split: share of images held out for validation, 0 to below 1.
        visible_only: leave out facts about the picture, facts that hold of every such thing, and what else no picture
            shows (filters.visible).
        min_concreteness: a fact is mined only when its things are all at least this concrete (Brysbaert et al. 2014;
            unrated words pass). genecis: the mean of a triplet's six things must exceed it.
        min_confidence: a fact is mined only when the parser's confidence, where it has one, is at least this.
        min_visual_strength: a fact is mined only when its object or value is seen at least this much (Lancaster
            Sensorimotor Norms; unrated words pass).
        max_ambiguity: an attribute fact is mined only when its value leaves at most so many bits of doubt about its
            axis (filters.axes.axis_ambiguity).
        max_prior: a condition is not mined of a subject of whose images a larger share than this satisfies it: it would
            tell next to nothing.
        generalise_below: where fewer targets than this of a subject say what a condition asks for in its own word, a
            more general word is mined as well ("animal" for "puppy"); 0 for never.
        subject_temperature: subjects come by their number of images to this power: 1 as they are, 0 all alike.
        condition_temperature: the same for the conditions of a subject, by their number of facts.
        max_per_target: triplets of a kind with the same target fact.
        max_per_image: triplets of a kind with the same target image.
        max_per_condition: triplets of a kind with the same subject and condition (where that is the name of an axis:
            with the same value of it).
        max_per_subject: triplets of a kind with the same subject.
        min_caption_score: facts are mined only of captions that fit their image at least so well (see filters/fit.py).
        caption_top_share: and only of the best share of all captions.
        caption_score_of_source: ``min_caption_score`` of single sources.
        min_fact_score: facts are mined only when they fit their image at least so well.
        reference_margin: the target fits its statement better than the reference, by at least this.
        text_distractor_margin: the same of the text distractor, which is not to show the subject.
        image_distractor_margin: the same of the image distractor; in focus kinds of the reference too.
        partitions: number of parts of every table.
    """

    sampler: str = "facts"
    kinds: tuple[str, ...] = KINDS
    weights: tuple[float, ...] = (1.0,) * len(KINDS)
    axes: tuple[str, ...] = (
        "color", "material", "pattern", "shape", "size", "age", "state", "action", "emotion", "weather", "time",
    )  # fmt: skip
    triplets: int | None = None
    seed: int = 0
    split: float = 0.0
    visible_only: bool = True
    min_concreteness: float = 3.5
    min_confidence: float = 0.88
    min_visual_strength: float = 2.2
    max_ambiguity: float = 1.45
    max_prior: float = 0.9
    generalise_below: int = 3
    subject_temperature: float = 0.8
    condition_temperature: float = 0.5
    max_per_target: int | None = None
    max_per_image: int | None = None
    max_per_condition: int | None = None
    max_per_subject: int | None = None
    min_caption_score: float | None = None
    caption_top_share: float | None = None
    caption_score_of_source: dict[str, float] = field(default_factory=dict)
    min_fact_score: float | None = None
    reference_margin: float | None = None
    text_distractor_margin: float | None = None
    image_distractor_margin: float | None = None
    partitions: int = 16

    @property
    def needs_scores(self) -> bool:
        """Whether anything is asked of how facts fit their images."""
        return any(getattr(self, name) not in (None, {}) for name in _SECTIONS["fit"])

    @property
    def margins(self) -> Margins:
        """What is asked of the images of a triplet."""
        return Margins(self.reference_margin, self.text_distractor_margin, self.image_distractor_margin)

    @property
    def caps_subjects(self) -> bool:
        """Whether there are caps that need all draws of a subject together."""
        return self.max_per_subject is not None or self.max_per_condition is not None

    @property
    def capped(self) -> bool:
        """Whether there is any cap."""
        return self.caps_subjects or self.max_per_image is not None or self.max_per_target is not None

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> "MiningConfig":
        """The configuration that :func:`dataclasses.asdict` and a JSON file have carried."""
        lists = {name: tuple(value) for name, value in settings.items() if isinstance(value, list)}
        return cls(**(settings | lists))


@dataclass(frozen=True)
class ScoreConfig:
    """Settings of the score stage.

    Attributes:
        images: where the images are (images.ImageStore); none where their embeddings are given.
        image_embeddings: folder of embeddings made elsewhere (pipeline/embeddings.py).
        model, pretrained, device, precision: see encoders.load.
        batch: images encoded at a time; None for what the device has memory for.
        accelerator: Beam's resource hint for the machines that encode.
        relation_template, attribute_template: how facts are put (pipeline/wording.py).
    """

    images: tuple[str, ...]
    image_embeddings: str | None
    model: str
    pretrained: str | None
    device: str | None
    precision: str | None
    batch: int | None
    accelerator: str | None
    relation_template: str
    attribute_template: str


_PRESETS = Path(__file__).parent / "presets"

PRESETS = tuple(sorted(path.stem for path in _PRESETS.glob("*.toml")))
"""``default`` is what we would train on; ``genecis`` is the published sampler, warts included."""


def preset(name: str) -> MiningConfig:
    """The preset of that name."""
    return load(_PRESETS / f"{name}.toml")


def load(path: str | Path) -> MiningConfig:
    """The configuration of a TOML file; what it leaves out is as in the default preset.

    Raises:
        ConfigError: the file cannot be read, has a key that means nothing or a value that cannot be; says which.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no TOML: {error}") from None
    try:
        return _resolve(given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _resolve(given: dict[str, Any]) -> MiningConfig:
    settings: dict[str, Any] = {}
    for name, value in given.items():
        if name == "kinds":
            weights = {kind: _number(0)(f"kinds.{kind}", weight) for kind, weight in _table(name, value, KINDS).items()}
            chosen = {kind: weights[kind] for kind in KINDS if weights.get(kind)}
            if not chosen:
                raise ConfigError(f"kinds: no kind has a weight above 0; known: {', '.join(KINDS)}")
            settings |= {"kinds": tuple(chosen), "weights": tuple(chosen.values())}
        elif name in _SECTIONS:
            checks = _SECTIONS[name]
            for key, found in _table(name, value, checks).items():
                settings[key] = checks[key](f"{name}.{key}", found)
        elif name in _TOP:
            settings[name] = _TOP[name](name, value)
        else:
            raise ConfigError(f"unknown key {name!r}; known: {', '.join([*_TOP, 'kinds', *_SECTIONS])}")
    config = MiningConfig(**settings)
    if config.sampler == "genecis" and config.kinds != ("relation",):
        raise ConfigError('kinds: the genecis sampler makes no kind but relation; write "relation = 1.0" and no other')
    return config


def with_kinds(config: MiningConfig, kinds: tuple[str, ...]) -> MiningConfig:
    """The configuration for those kinds only; each keeps the weight it has, or gets 1.

    Raises:
        ConfigError: the sampler does not make such a kind.
    """
    if config.sampler == "genecis" and set(kinds) != {"relation"}:
        raise ConfigError("the genecis sampler makes no kind but relation")
    weights = dict(zip(config.kinds, config.weights, strict=False))
    chosen = tuple(kind for kind in KINDS if kind in kinds)
    return replace(config, kinds=chosen, weights=tuple(weights.get(kind, 1.0) for kind in chosen))


def _table(name: str, value: Any, known: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: must be a table of {', '.join(known)}")
    for key in value:
        if key not in known:
            raise ConfigError(f"unknown key '{name}.{key}'; known: {', '.join(known)}")
    return value


Check = Callable[[str, Any], Any]


def _number(least: float, most: float = float("inf")) -> Check:
    def check(key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            limits = f"from {least:g} to {most:g}" if most < float("inf") else f"of at least {least:g}"
            raise ConfigError(f"{key} = {value!r}: must be a number {limits}")
        return float(value)

    return check


def _limit(key: str, value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{key} = {value!r}: must be a whole number, 0 for no limit")
    return value or None


def _count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{key} = {value!r}: must be a whole number of at least 0")
    return value


def _scores(key: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key} = {value!r}: must be a table of sources and scores")
    return {source: _number(-1, 1)(f"{key}.{source}", score) for source, score in value.items()}


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{key} = {value!r}: must be true or false")
    return value


def _one_of(*known: str) -> Check:
    def check(key: str, value: Any) -> str:
        if value not in known:
            raise ConfigError(f"{key} = {value!r}: must be one of {', '.join(known)}")
        return value

    return check


def _axes(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{key} = {value!r}: must be a list of axes")
    return tuple(dict.fromkeys(_one_of(*AXES)(key, axis) for axis in value))


_TOP: dict[str, Check] = {"sampler": _one_of(*SAMPLERS), "axes": _axes}
_SECTIONS: dict[str, dict[str, Check]] = {
    "filters": {
        "visible_only": _truth,
        "min_concreteness": _number(-10, 5),
        "min_confidence": _number(0, 1),
        "min_visual_strength": _number(0, 5),
        "max_ambiguity": _number(0),
        "max_prior": _number(0, 1),
    },
    "balance": {
        "subject_temperature": _number(0, 2),
        "condition_temperature": _number(0, 2),
        "generalise_below": _count,
        "max_per_target": _limit,
        "max_per_image": _limit,
        "max_per_condition": _limit,
        "max_per_subject": _limit,
    },
    "fit": {
        "min_caption_score": _number(-1, 1),
        "caption_top_share": _number(0, 1),
        "caption_score_of_source": _scores,
        "min_fact_score": _number(-1, 1),
        "reference_margin": _number(-2, 2),
        "text_distractor_margin": _number(-2, 2),
        "image_distractor_margin": _number(-2, 2),
    },
}
assert {key for checks in _SECTIONS.values() for key in checks} <= {field.name for field in fields(MiningConfig)}

TEXT_DISTRACTORS_PER_TARGET = 4
"""Different text distractors that the triplets of one target fact take turns with."""

ROWS_PER_SUBJECT_GROUP = 1 << 14
"""A subject with more facts than this is salted: its images are spread over groups of about this many facts."""

ROWS_PER_COMPOSITE_GROUP = 1 << 11
"""The same for pairs of facts. Nearly every pair is a condition of its own, to be compared with all images of the
group, so work grows with the square of this."""

MIN_IMAGES_WITH_SUBJECT = 5
"""genecis: a subject needs this many images (the published ``cc3m_min_images_with_subject``)."""

MIN_OBJECTS_OF_SUBJECT = 2
"""genecis: and this many distinct objects."""

TRIES = 101
"""genecis: draws of a target for one reference before an invalid pair is taken (``attempts > 100``)."""
