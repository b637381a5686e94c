"""Decoding of images of all kinds, and what is refused."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL")
from PIL import Image, ImageCms

from images import REASONS, ImageError, Limits, decode
from tests.hostile_images import IMAGES, JPEG, encoded, text_png


@pytest.mark.parametrize("name", IMAGES)
def test_a_bad_image_has_its_reason(name: str) -> None:
    reasons, make = IMAGES[name]
    try:
        decode(make())
        found = "fine"
    except ImageError as error:
        found, told = error.reason, error.detail
    else:
        told = found
    assert told
    assert found in {"fine", *REASONS}
    assert found in ((reasons,) if isinstance(reasons, str) else reasons)


@pytest.mark.slow
def test_every_bad_image_fits_in_a_gibibyte(tmp_path: Path) -> None:
    """In a process that may not have more memory: the limit holds for the largest that is decoded, too."""
    for number, (_, make) in enumerate(IMAGES.values()):
        (tmp_path / f"{number:02d}").write_bytes(make())
    large = io.BytesIO()
    Image.new("RGBA", (8192, 8192), (9, 9, 9, 9)).save(large, "PNG", compress_level=1)
    (tmp_path / "large").write_bytes(large.getvalue())
    code = (
        "import pathlib, resource, sys\n"
        "from images import ImageError, decode\n"
        "decode(pathlib.Path(sys.argv[2]).read_bytes())\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30),) * 2)\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        decode(path.read_bytes())\n"
        "        print('had', path.name)\n"
        "    except ImageError as error:\n"
        "        assert 'MemoryError' not in error.detail, (path.name, error.detail)\n"
    )
    small = tmp_path.parent / "small.jpg"
    small.write_bytes(JPEG)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(small)], capture_output=True, text=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "had large" in done.stdout


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats(kind: str) -> None:
    picture = decode(encoded(kind))
    assert (picture.mode, picture.size) == ("RGB", (32, 24))


def test_a_picture_with_text_is_had() -> None:
    assert decode(text_png()).size == (32, 24)


def pixel(image: Image.Image, kind: str, **options: object) -> tuple[int, ...]:
    data = io.BytesIO()
    image.save(data, kind, **options)
    found = decode(data.getvalue()).getpixel((1, 1))
    assert isinstance(found, tuple)
    return found


def near(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("mode", "colour", "kind"), [
    ("RGBA", (255, 0, 0, 0), "PNG"), ("LA", (0, 0), "PNG"), ("RGBA", (255, 0, 0, 0), "WEBP"),
])  # fmt: skip
def test_what_is_transparent_is_white(mode: str, colour: tuple[int, ...], kind: str) -> None:
    assert pixel(Image.new(mode, (8, 8), colour), kind) == (255, 255, 255)


def test_half_transparent_is_half_white() -> None:
    assert near(pixel(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"), (127, 127, 127), 1)


def test_a_palette_with_a_transparent_colour() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 10, 10])
    assert pixel(image, "PNG") == (200, 10, 10)
    assert pixel(image, "PNG", transparency=1) == (255, 255, 255)
    assert pixel(image, "GIF", transparency=1) == (255, 255, 255)


def test_cmyk() -> None:
    assert near(pixel(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), (255, 0, 0))
    assert near(pixel(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), (255, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("value", [0, 256, 0x8000, 0xFFFF])
def test_sixteen_bits_become_the_upper_eight(kind: str, value: int) -> None:
    image = Image.frombytes("I;16", (8, 8), struct.pack("<H", value) * 64)
    assert pixel(image, kind) == (value >> 8,) * 3


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey(mode: str) -> None:
    assert pixel(Image.new(mode, (8, 8), 255), "PNG") == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation(orientation: int, kind: str) -> None:
    upright = Image.new("RGB", (24, 16), "blue")
    upright.paste((255, 0, 0), (0, 0, 8, 8))  # red in the upper left corner
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that turns it to how such a camera stores it
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    stored.save(data, kind, exif=exif)
    found = decode(data.getvalue())
    assert found.size == (24, 16)
    assert near(found.getpixel((2, 2)), (255, 0, 0), 40)  # type: ignore[arg-type]


def test_damaged_exif_and_profile_turn_no_picture_away() -> None:
    assert decode(encoded("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).size == (32, 24)
    assert decode(encoded("JPEG", icc_profile=b"junk" * 100)).size == (32, 24)
    assert decode(encoded("PNG", icc_profile=b"junk")).size == (32, 24)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(encoded("JPEG", icc_profile=profile)).size == (32, 24)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(kind: str) -> None:
    data = io.BytesIO()
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    first.save(data, kind, save_all=True, append_images=[second])
    assert near(decode(data.getvalue()).getpixel((1, 1)), (255, 0, 0))  # type: ignore[arg-type]


def test_limits_are_the_callers() -> None:
    with pytest.raises(ImageError, match="image_too_large"):
        decode(JPEG, Limits(pixels=32 * 24 - 1))
    assert decode(JPEG, Limits(bytes=len(JPEG), pixels=32 * 24)).size == (32, 24)
    with pytest.raises(ImageError, match="image_too_large"):
        decode(JPEG, Limits(bytes=len(JPEG) - 1))


def test_images_can_be_imported_without_pillow() -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "import images\n"
        "try:\n    images.decode(b'x')\nexcept RuntimeError as error:\n    assert 'facetmine[images]' in str(error)\n"
        "assert not any(name.startswith(('apache_beam', 'torch')) for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
