"""CLIP models as encoders of images and texts into one space: open_clip's own, local ones, and the toy world's."""

from encoders.open_clip import Encoder, EncoderError, load

__all__ = ["Encoder", "EncoderError", "load"]
