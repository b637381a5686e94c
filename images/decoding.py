"""From bytes that anybody may have made to an RGB picture, in bounded memory, or to the reason why not."""

import functools
import io
import struct
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from .errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

# Raster formats whose decoders are in wide use; no others, since Pillow's EPS starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_MOST_SCANS = 100
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Limits:
    """What is decoded at all.

    Attributes:
        bytes: most bytes of an encoded image.
        pixels: most pixels, width times height. Decoding takes up to 12 bytes of memory a pixel.
    """

    bytes: int = 64 << 20
    pixels: int = 64 << 20


DEFAULT = Limits()


def decode(data: bytes, limits: Limits = DEFAULT) -> "Image.Image":
    """The picture as RGB, upright as its EXIF says; its first frame where it is animated, on white where transparent.

    16 bits a channel become the upper 8. Colour profiles are ignored, as models' own preprocessing does.

    Raises:
        ImageError: it cannot be decoded, or is larger than the limits allow.
        RuntimeError: Pillow is not installed.
    """
    pil = _pillow()
    _check_bytes(data, limits)
    try:
        with pil.open(io.BytesIO(data), formats=_FORMATS) as picture:
            _check_pixels(picture.size, limits)
            picture.load()
            return _upright(_rgb(picture, pil), _orientation(picture), pil)
    except ImageError:
        raise
    except pil.UnidentifiedImageError:
        raise ImageError("not_an_image", _told(data)) from None
    except pil.DecompressionBombError as error:
        raise ImageError("image_too_large", str(error)) from None
    except Exception as error:  # Pillow's decoders raise what they like: struct.error, SyntaxError, IndexError, ...
        text = f"{type(error).__name__}: {error}"[:500]
        if "truncated" in text.lower() or isinstance(error, EOFError):
            raise ImageError("truncated_image", text) from None
        raise ImageError("undecodable_image", text) from None


@functools.cache
def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise RuntimeError("decoding images needs the images extra: pip install 'facetmine[images]'") from None
    # On damaged EXIF and on pictures that are about to be refused for their size.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise ImageError("empty_image", "0 bytes")
    if len(data) > limits.bytes:
        raise ImageError("image_too_large", f"{len(data):,} bytes; at most {limits.bytes:,} are read")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        _check_pixels(_webp_size(data), limits)  # Pillow allocates the whole canvas when it opens a WebP file
    if data[:2] == b"\xff\xd8" and (scans := data.count(b"\xff\xda")) > _MOST_SCANS:
        # Each scan of a few bytes makes the decoder go over all pixels.
        raise ImageError("undecodable_image", f"a JPEG of {scans:,} scans; at most {_MOST_SCANS} are decoded")


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.pixels:
        raise ImageError("image_too_large", f"{width:,} x {height:,} pixels; at most {limits.pixels:,} are decoded")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header (RFC 9649)."""
    kind, body = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", body[6:10])
    return width & 0x3FFF, height & 0x3FFF


def _rgb(picture: "Image.Image", pil: ModuleType) -> "Image.Image":
    if picture.mode == "F":
        raise ImageError("undecodable_image", "pixels are floating-point numbers of unknown range")
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if "transparency" in picture.info or picture.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        layer = picture.convert("RGBA")
        below = pil.new("RGB", picture.size, "white")
        below.paste(layer, mask=layer.getchannel("A"))
        return below
    return picture.convert("RGB")


def _orientation(picture: "Image.Image") -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF turns no picture away
        return 1
    return value if isinstance(value, int) else 1


def _upright(picture: "Image.Image", orientation: int, pil: ModuleType) -> "Image.Image":
    turn = {
        2: pil.Transpose.FLIP_LEFT_RIGHT,
        3: pil.Transpose.ROTATE_180,
        4: pil.Transpose.FLIP_TOP_BOTTOM,
        5: pil.Transpose.TRANSPOSE,
        6: pil.Transpose.ROTATE_270,
        7: pil.Transpose.TRANSVERSE,
        8: pil.Transpose.ROTATE_90,
    }.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _told(data: bytes) -> str:
    head = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for begin, what in ((b"<!doctype html", "HTML"), (b"<html", "HTML"), (b"<svg", "SVG"), (b"<?xml", "XML"),
                        (b"{", "JSON"), (b"%!ps", "PostScript"), (b"%pdf", "PDF")):  # fmt: skip
        if head.startswith(begin):
            return f"begins like {what}"
    return f"begins with {data[:8].hex(' ')}; formats read: {', '.join(_FORMATS)}"
