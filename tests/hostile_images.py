"""Images and tars that somebody made to do harm, or that broke on the way; each with the reason it is refused for."""

import io
import struct
import tarfile
import zlib
from collections.abc import Callable

from PIL import Image, PngImagePlugin


def encoded(kind: str = "JPEG", size: tuple[int, int] = (32, 24), mode: str = "RGB", **options: object) -> bytes:
    data = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(data, kind, **options)
    return data.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def sof(width: int, height: int, data: bytes) -> bytes:
    """The JPEG with another size in its frame header."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def tiff_entry(data: bytes, tag: int, value: int) -> bytes:
    """The little-endian TIFF with another value of a tag (LONG)."""
    at = data.index(struct.pack("<H", tag), struct.unpack("<I", data[4:8])[0])
    return data[: at + 2] + struct.pack("<HII", 4, 1, value) + data[at + 12 :]


def _scans() -> bytes:
    data = encoded("JPEG", (64, 64), progressive=True)
    begin = data.rindex(b"\xff\xda")
    return data[:begin] + data[begin:-2] * 500 + b"\xff\xd9"


def _riff(kind: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


_DEFLATED_ZEROS = zlib.compress(bytes(64 << 20), 1)
"""64 MiB; Pillow stops after one."""


def _bomb_text() -> bytes:
    body = b"Comment\0\0" + _DEFLATED_ZEROS
    return png(8, 8, chunk(b"zTXt", body), chunk(b"IDAT", zlib.compress(bytes(8 * 25))))


def _bomb_profile() -> bytes:
    body = b"ICC\0\0" + _DEFLATED_ZEROS
    return png(8, 8, chunk(b"iCCP", body), chunk(b"IDAT", zlib.compress(bytes(8 * 25))))


def _many_texts() -> bytes:
    text = b"Comment\0\0" + zlib.compress(bytes(1 << 20), 9)
    return png(8, 8, *[chunk(b"zTXt", text)] * 200, chunk(b"IDAT", zlib.compress(bytes(8 * 25))))


JPEG, PNG = encoded(), encoded("PNG")
GIF, BMP, TIFF = encoded("GIF"), encoded("BMP"), encoded("TIFF")
WEBP = encoded("WEBP")
_TIFF_LARGE = tiff_entry(tiff_entry(TIFF, 256, 100_000), 257, 100_000)

IMAGES: dict[str, tuple[str | tuple[str, ...], Callable[[], bytes]]] = {
    "nothing": ("empty_image", lambda: b""),
    "one byte": ("not_an_image", lambda: b"\xff"),
    "zeros": ("not_an_image", lambda: bytes(4096)),
    "a page": ("not_an_image", lambda: b"<!DOCTYPE html><html><body>404</body></html>"),
    "SVG": ("not_an_image", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    "XML entities": ("not_an_image", lambda: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///x">]><svg/>'),
    "PostScript": ("not_an_image", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n"),
    "PDF": ("not_an_image", lambda: b"%PDF-1.7\n"),
    "gzip": ("not_an_image", lambda: zlib.compress(JPEG)),
    "ICO": ("not_an_image", lambda: encoded("ICO", (16, 16))),
    "JPEG 2000 header": ("not_an_image", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64)),
    "JPEG, half": ("truncated_image", lambda: JPEG[: len(JPEG) // 2]),
    "JPEG, header only": (("truncated_image", "undecodable_image", "not_an_image"), lambda: JPEG[:30]),
    "JPEG, magic only": (("truncated_image", "undecodable_image", "not_an_image"), lambda: JPEG[:3]),
    "JPEG of 65,500 pixels square": ("image_too_large", lambda: sof(65_500, 65_500, JPEG)),
    "JPEG of no pixels": (("undecodable_image", "not_an_image"), lambda: sof(0, 0, JPEG)),
    "JPEG of 500 scans": ("undecodable_image", _scans),
    "JPEG without tables": (("undecodable_image", "truncated_image"), lambda: JPEG.replace(b"\xff\xdb", b"\xff\xfe")),
    "PNG, half": ("truncated_image", lambda: PNG[: len(PNG) // 2]),
    "PNG, signature only": (("truncated_image", "undecodable_image", "not_an_image"), lambda: PNG[:8]),
    "PNG, wrong checksum": (("undecodable_image", "not_an_image"), lambda: PNG[:29] + b"\0\0\0\0" + PNG[33:]),
    "PNG of 100,000 pixels square": ("image_too_large", lambda: png(100_000, 100_000, chunk(b"IDAT", b""))),
    "PNG of 2 billion pixels square": ("image_too_large", lambda: png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", b""))),
    "PNG of no pixels": (("undecodable_image", "truncated_image", "not_an_image"), lambda: png(0, 0)),
    "PNG without data": (("undecodable_image", "truncated_image"), lambda: png(8, 8)),
    "PNG, a bomb of pixels": (
        "image_too_large",
        lambda: png(30_000, 30_000, chunk(b"IDAT", zlib.compress(bytes(30_000 * 900), 9))),
    ),
    "PNG, a bomb of text": ("undecodable_image", _bomb_text),
    "PNG, a bomb as colour profile": (("undecodable_image", "fine"), _bomb_profile),
    "PNG, many texts": ("undecodable_image", _many_texts),
    "PNG, chunk longer than the file": (
        ("truncated_image", "undecodable_image", "not_an_image"),
        lambda: PNG[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT",
    ),
    "PNG, impossible depth": (("undecodable_image", "not_an_image"), lambda: png(8, 8, depth=7)),
    "GIF, half": (("truncated_image", "undecodable_image"), lambda: GIF[: len(GIF) // 2]),
    "GIF of 65,535 pixels square": (
        "image_too_large",
        lambda: GIF[:6] + struct.pack("<HH", 65_535, 65_535) + GIF[10:],
    ),
    "GIF without frames": (("truncated_image", "undecodable_image", "not_an_image"), lambda: GIF[:13] + b";"),
    "WebP canvas of 16,777,216 pixels square": ("image_too_large", lambda: _riff(b"VP8X", bytes(4) + b"\xff" * 6)),
    "WebP lossless of 16,384 pixels square": ("image_too_large", lambda: _riff(b"VP8L", b"\x2f" + b"\xff" * 20)),
    "WebP, half": (("truncated_image", "undecodable_image", "not_an_image"), lambda: WEBP[: len(WEBP) // 2]),
    "WebP, header only": (("truncated_image", "undecodable_image", "not_an_image"), lambda: WEBP[:16]),
    "BMP of 2 billion pixels square": ("image_too_large", lambda: BMP[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + BMP[26:]),  # noqa: E501
    "BMP, half": ("truncated_image", lambda: BMP[: len(BMP) // 2]),
    "TIFF of 100,000 pixels square": ("image_too_large", lambda: _TIFF_LARGE),
    "TIFF, half": (("truncated_image", "undecodable_image", "not_an_image"), lambda: TIFF[: len(TIFF) // 2]),
    "TIFF, directory in itself": (("undecodable_image", "not_an_image", "truncated_image"), lambda: TIFF[:4] + struct.pack("<I", 4) + TIFF[8:]),  # noqa: E501
    "TIFF of floats": ("undecodable_image", lambda: encoded("TIFF", mode="F")),
    "too many bytes": ("image_too_large", lambda: JPEG + bytes((64 << 20) + 1)),
}  # fmt: skip
"""Name to reason, or reasons of which the decoder's version chooses, and the bytes; "fine" where they may also be had."""  # noqa: E501


def member(
    name: str, content: bytes = JPEG, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, link
    return info, content if kind == tarfile.REGTYPE else b""


def tar(*members: tuple[tarfile.TarInfo, bytes], format_: int = tarfile.GNU_FORMAT, end: bool = True) -> bytes:
    data = b"".join(
        info.tobuf(format_, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)
        for info, content in members
    )
    return data + (bytes(1024) if end else b"")


def header(name: bytes, kind: bytes, size: bytes) -> bytes:
    """A header block with any bytes as its size."""
    block = bytearray(512)
    block[: len(name)], block[124 : 124 + len(size)], block[156:157] = name, size, kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


def _pax(*records: bytes) -> bytes:
    body = b"".join(records)
    return header(b"pax", b"x", b"%011o" % len(body)) + body + bytes(-len(body) % 512)


GOOD = member("good.jpg")
_NEGATIVE = b"\xff" * 12
_EXABYTES = b"\x80" + b"\x7f" * 11

TARS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "absolute path": ("unsafe_member", lambda: tar(GOOD, member("/tmp/escaped.jpg"))),
    "path upwards": ("unsafe_member", lambda: tar(GOOD, member("../../escaped.jpg"))),
    "path upwards inside": ("unsafe_member", lambda: tar(GOOD, member("a/../../escaped.jpg"))),
    "path upwards, Windows": ("unsafe_member", lambda: tar(GOOD, member("..\\..\\escaped.jpg"))),
    "symbolic link": ("unsafe_member", lambda: tar(GOOD, member("a.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd"))),
    "hard link": ("unsafe_member", lambda: tar(GOOD, member("a.jpg", kind=tarfile.LNKTYPE, link="good.jpg"))),
    "device": ("unsafe_member", lambda: tar(GOOD, member("a.jpg", kind=tarfile.CHRTYPE))),
    "pipe": ("unsafe_member", lambda: tar(GOOD, member("a.jpg", kind=tarfile.FIFOTYPE))),
    "sparse file": ("unsafe_member", lambda: tar(GOOD)[:-1024] + header(b"a.jpg", b"S", b"%011o" % 0) + bytes(1024)),
    "sparse file, pax": (
        "unsafe_member",
        lambda: tar(GOOD)[:-1024] + _pax(b"22 GNU.sparse.major=1\n") + tar(member("a.jpg")),
    ),
    "name that is not UTF-8": ("unsafe_member", lambda: tar(GOOD, member("\udcff.jpg"))),
    "no bytes": ("empty_image", lambda: tar(GOOD, member("a.jpg", b""))),
    "cut in a member": ("damaged_archive", lambda: tar(GOOD, member("a.jpg"))[:-1500]),
    "cut in a header": ("damaged_archive", lambda: tar(GOOD, end=False) + bytes(100)),
    "no end mark": ("damaged_archive", lambda: tar(GOOD, end=False)),
    "junk behind a member": ("damaged_archive", lambda: tar(GOOD, end=False) + b"junk" * 512),
    "negative size": ("damaged_archive", lambda: tar(GOOD, end=False) + header(b"a.jpg", b"0", _NEGATIVE) + bytes(1024)),  # noqa: E501
    "exabytes": ("damaged_archive", lambda: tar(GOOD, end=False) + header(b"a.jpg", b"0", _EXABYTES) + bytes(1024)),
    "size in letters": ("damaged_archive", lambda: tar(GOOD, end=False) + header(b"a.jpg", b"0", b"lots") + bytes(1024)),  # noqa: E501
    "long name of exabytes": ("damaged_archive", lambda: tar(GOOD, end=False) + header(b"L", b"L", _EXABYTES)),
    "long name of 2 MiB": (
        "damaged_archive",
        lambda: tar(GOOD, end=False) + header(b"L", b"L", b"%011o" % (2 << 20)) + bytes(2 << 20),
    ),
    "pax size that is negative": ("damaged_archive", lambda: tar(GOOD, end=False) + _pax(b"11 size=-1\n") + tar(member("a.jpg"))),  # noqa: E501
    "pax record without end": ("damaged_archive", lambda: tar(GOOD, end=False) + _pax(b"99 path=a.jpg\n") + tar(member("a.jpg"))),  # noqa: E501
    "pax record of length 0": ("damaged_archive", lambda: tar(GOOD, end=False) + _pax(b"0 path=a.jpg\n") + tar(member("a.jpg"))),  # noqa: E501
    "pax header that is negative": ("damaged_archive", lambda: tar(GOOD, end=False) + header(b"x", b"x", _NEGATIVE)),
    "many members of one key": (
        "damaged_archive", lambda: tar(GOOD, *[member(f"a.{number}.jpg", b"x") for number in range(1500)])
    ),
}  # fmt: skip
"""Name to reason and archive; every archive begins with one good image, which can be had."""

HEADERS_ONLY = header(b"L", b"L", b"%011o" % 5) + b"name\0".ljust(512, b"\0")
"""A header that describes the next; tarfile recurses a frame for each."""


def text_png() -> bytes:
    """A good picture with some text in it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b" * 1000, zip=True)
    return encoded("PNG", pnginfo=info)
