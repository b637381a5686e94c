"""What the mining stages are told: resolved settings, recorded in the manifest as they are."""

from dataclasses import dataclass

KINDS = ("relation",)
"""Kinds of triplets that can be mined so far."""


@dataclass(frozen=True)
class MiningConfig:
    """Settings of the mine and write stages.

    Attributes:
        preset: ``"default"``, or ``"genecis"`` for the published sampler.
        kinds: kinds of triplets to mine.
        triplets: how many triplets; None for one a fact that can be a target.
        seed: every random choice derives from it.
        split: share of images held out for validation, 0 to below 1.
        visible_only: leave out facts about the picture and facts that hold of every such thing (filters.visible).
        min_concreteness: default preset: a fact is mined only when its subject and object are both at least this
            concrete (Brysbaert et al. 2014; unrated words pass). genecis: the mean of a triplet's six things must
            exceed it.
        partitions: number of parts of every table.
    """

    preset: str = "default"
    kinds: tuple[str, ...] = ("relation",)
    triplets: int | None = None
    seed: int = 0
    split: float = 0.0
    visible_only: bool = True
    min_concreteness: float = 3.5
    partitions: int = 16


PRESETS = {
    "default": MiningConfig(),
    "genecis": MiningConfig(preset="genecis", visible_only=False, min_concreteness=4.8),
}
"""``default`` is what we would train on; ``genecis`` is the published sampler, warts included."""

TEXT_DISTRACTORS_PER_TARGET = 4
"""Different text distractors that the triplets of one target fact take turns with."""

ROWS_PER_SUBJECT_GROUP = 1 << 17
"""A subject with more facts than this is salted: its images are spread over groups of about this many facts."""

MIN_IMAGES_WITH_SUBJECT = 5
"""genecis: a subject needs this many images (the published ``cc3m_min_images_with_subject``)."""

MIN_OBJECTS_OF_SUBJECT = 2
"""genecis: and this many distinct objects."""

TRIES = 101
"""genecis: draws of a target for one reference before an invalid pair is taken (``attempts > 100``)."""
