"""Named settings of the mining stages."""

from pipeline.config import MiningConfig

PRESETS = {
    "default": MiningConfig(preset="default", min_concreteness=3.0),
    "genecis": MiningConfig(preset="genecis", min_concreteness=4.8),
}
"""``default`` is what we would train on; ``genecis`` is the published sampler, warts included."""
