"""Named settings of the mining stages."""

from pipeline.config import MiningConfig

PRESETS = {
    "default": MiningConfig(preset="default"),
    "genecis": MiningConfig(preset="genecis", visible_only=False, min_concreteness=4.8),
}
"""``default`` is what we would train on; ``genecis`` is the published sampler, warts included."""
