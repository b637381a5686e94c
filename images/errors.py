"""Why an image cannot be had, or not be fetched."""

REASONS = {
    "missing_image": "no source holds an image of that id",
    "unreadable_image": "the file that holds the image cannot be read, or has changed since it was indexed",
    "unsafe_member": "the tar member is a link, a device, or named by a path that leads out of the archive",
    "damaged_archive": "the tar, Parquet file or folder cannot be read from some place on",
    "empty_image": "the image has no bytes",
    "not_an_image": "the bytes are in no image format that is read",
    "truncated_image": "the image ends early",
    "undecodable_image": "the image is damaged",
    "image_too_large": "the image has more bytes or more pixels than the limits allow",
}
"""Every reason for which an image cannot be had, with its meaning. The codes are stable."""


class ImageError(Exception):
    """An image cannot be had.

    Attributes:
        reason: one of ``REASONS``.
        detail: what was wrong, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is not a reason; REASONS lists them")
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


FETCH_REASONS = {
    "bad_url": "the URL cannot be understood",
    "refused_scheme": "the URL, or one it redirects to, is neither http nor https",
    "refused_address": "the host, or one it redirects to, is in a private, loopback, link-local or reserved network",
    "dns_failure": "the host's name cannot be resolved",
    "connection_failed": "the host does not answer, or breaks the connection off",
    "tls_failure": "the host's certificate is not valid, or it speaks no TLS",
    "timeout": "the image was not there in time",
    "bad_response": "the host does not speak HTTP",
    "http_error": "the host answers with an error",
    "too_many_redirects": "one redirect leads to the next",
    "wrong_content_type": "the answer says that it is no image",
    "incomplete_body": "the answer ends early",
    "image_too_large": REASONS["image_too_large"],
    "disallowed": "the answer's header X-Robots-Tag forbids the use",
    "not_attempted": "the run ended before it, or the download broke off with its worker",
}
"""Every reason for which an image cannot be fetched, beside those of decoding in ``REASONS``."""

TRANSIENT = frozenset({"dns_failure", "connection_failed", "timeout", "incomplete_body", "bad_response"})
"""Reasons that may be gone a moment later."""


class FetchError(Exception):
    """An image cannot be downloaded.

    Attributes:
        reason: one of ``FETCH_REASONS``.
        detail: what was wrong, in words.
        transient: whether another try may succeed.
    """

    def __init__(self, reason: str, detail: str, transient: bool | None = None) -> None:
        if reason not in FETCH_REASONS:
            raise ValueError(f"{reason!r} is not a reason; FETCH_REASONS lists them")
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.transient = reason in TRANSIENT if transient is None else transient

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
