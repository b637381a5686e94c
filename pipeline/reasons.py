"""What each reason of the table ``rejects`` means, in words for people."""

from images.errors import REASONS as OF_IMAGES
from pipeline.readers import REASONS as OF_READ

_OF_STAGES = {
    "duplicate": "the same caption of the same image was read before",
    "states_nothing": "the parser finds nothing that the caption states",
    "no_picture": "scores are asked for, and the fact's image cannot be had",
    "does_not_fit_caption": "the picture fits its caption less well than is asked for",
    "not_in_picture": "the picture fits the fact less well than is asked for",
    "kind_not_mined": "no kind of triplet that was asked for is made of such facts",
    "axis_not_mined": "the attribute's axis is not among those asked for",
    "not_confident": "the parser is less sure of the fact than is asked for",
    "relates_to_itself": "subject and object are the same thing",
    "about_the_picture": "subject or object is the picture, not in it",
    "not_seen": "subject or object is nothing that can be seen, or the fact tells a purpose or a name",
    "inherent_part": "every such thing has that part, or is in such a place",
    "told_by_owner": "a place or belonging told by its owner, who need not be in the picture",
    "lookalike": 'the caption says that the thing is none ("toy car")',
    "not_concrete": "subject or object is less concrete than is asked for",
    "hardly_visual": "object or value is less visual than is asked for",
    "ambiguous_axis": "the value leaves more doubt about its axis than is asked for",
    "repeated_fact": "another caption of the image states the same",
    "makes_no_condition": "the value excludes no other, so nothing contradicts it, and nothing else is said beside it",
    "reference_fits_condition": "the reference's picture fits the target's statement within the margin",
    "text_distractor_fits_subject": "the text distractor's picture fits the target's statement within the margin",
    "text_distractor_does_not_fit": "the text distractor's picture leads its own statement by less than the margin",
    "image_distractor_fits_condition": "the image distractor's picture fits the condition within the margin",
}

MEANINGS = {**OF_READ, **OF_IMAGES, **_OF_STAGES}
"""Every reason, with its meaning."""
