"""What of a caption a parser reads: web debris and captions in other languages out, and otherwise the text as it is."""

import html
import re
import unicodedata
from collections.abc import Iterable

MAX_CHARACTERS = 600
"""What is read of a caption: about 100 words. What is longer is mostly no caption, and time grows with length."""

_RAW_CHARACTERS = 2048
"""What is looked at of a caption before it is cleaned: so much that a long address in front does not hide the rest."""

_MOSTLY_CAPITALS = 0.6


def readable_text(caption: object) -> str:
    """The part of a caption that describes its image, as plain English text; empty where there is none.

    - Line ends, control characters, runs of white space become single spaces; HTML entities are decoded; tags, emoji,
      web addresses, e-mail addresses and @names go; typographic quotes and dashes become plain ones.
    - File names ("IMG_1234.jpg a dog"), agencies and their boilerplate ("stock photo of", "royalty-free",
      "image may contain :", "click to enlarge", "photo by NAME", "© NAME") go, and at the ends a film's definition
      ("4k", "full hd").
    - Hashtags go where they stand together, at the end or before an article; one inside a sentence loses its sign only,
      as do the lone "#" that Conceptual Captions has for numbers.
    - Captions mostly in capitals become lower-case.
    - A caption in another language than English gives the empty string; see ``is_foreign`` for how that is told.
    - What is beyond ``MAX_CHARACTERS`` is cut off between words.

    Negations stay: what they mean is for the parser. Never raises, whatever the value; what is no text gives the empty
    string. What has been cleaned once does not change again.
    """
    if not isinstance(caption, str):
        return ""
    text = _cut(caption, _RAW_CHARACTERS)
    # What one step removes can bring together what another removes; an ordinary caption is unchanged the first time.
    while (cleaned := _clean(text)) != text:
        text = cleaned
    return text


def _clean(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        text = _plain_characters(text)
    if "&" in text or "<" in text:
        text = _TAG.sub(" ", html.unescape(text))
    if " " not in text and _SLUG.fullmatch(text):
        text = text.replace("-", " ").replace("_", " ")
    words = _WORD.findall(text.lower())
    if not _TRIGGERS.isdisjoint(words):
        text = _without_boilerplate(text, words)
        words = _WORD.findall(text.lower())
    if _MARK.search(text):
        text = _without_marks(text)
    if _DEFINITIONS.search(words[0] + " " + words[-1] if words else ""):
        text = _DEFINITION.sub(" ", text)
    text = _cut(" ".join(text.split()).strip(_DEBRIS).lstrip(_DEBRIS_IN_FRONT), MAX_CHARACTERS)
    if not words or is_foreign(text, words):
        return ""
    if not text.isascii():
        text = " ".join(_OTHER_SCRIPTS.sub(" ", text).split())
        if not any(map(str.isalpha, text)):  # "²" is no digit for the expressions, and no letter either
            return ""
    if not text.islower():
        text = _lowered_capitals(text)
    return text


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return text[:most].rpartition(" ")[0] or text[:most]


def _lowered_capitals(text: str) -> str:
    """Lower-case, where most words open with a capital: a headline, in which capitals tell no names."""
    opening = [word[0] for word in text.split() if word[0].isalpha()]
    return text.lower() if sum(map(str.isupper, opening)) > _MOSTLY_CAPITALS * len(opening) else text


# --- characters ---------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]+")
_SLUG = re.compile(r"[^\W\d_]+(?:[-_][^\W\d_]+){2,}")
"""A caption that is one file name in words: "dog-on-a-beach"."""
_DEBRIS = " ,;:|/~*^=_-"
_DEBRIS_IN_FRONT = _DEBRIS + ".!?"
"""What is left at the ends where something was removed, and says nothing there anyway."""

_PLAIN = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u02bc\u2032\u00b4\u0060", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u2033", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", "")  # invisible, inside words
    | {"\u2026": "...", "\u00d7": "x", "\u2022": "|", "\u00b7": "|"}
)
_NO_TEXT = re.compile(r"[^\x20-\x7e\w£€¥¢©®°]")  # emoji and other symbols, controls, lone surrogates
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>|<!--.{0,300}?-->")


def _plain_characters(text: str) -> str:
    return _NO_TEXT.sub(" ", unicodedata.normalize("NFC", text).translate(_PLAIN))


# --- addresses, file names, hashtags ------------------------------------------------------------------------------

_MARK = re.compile(r"[#@©()\[\]{}]")
_ADDRESS = re.compile(
    r"""(?:https?\s?:\s?/\s?/|www\s?\.\s?|pic\.twitter\.com/)\S+ | \b[\w.+-]+@[\w-]+\.[\w.-]+ |
        \b(?:[\w-]+\.)+(?:com|net|org|co\.uk|edu|gov|info)\b(?:/\S*)?""",
    re.IGNORECASE | re.VERBOSE,
)
_FILE_NAME = re.compile(
    r"""(?:^\W*(?:img|dsc[fn]?)\s)?\S+\s?\.\s?(?:jpe?g|png|gif|webp|bmp|tiff?|heic|svg|mp4|mov|avi)\b |
        ^\W*\b(?:img|dsc[fn]?|dcim|pxl|mvi|vid|gopr|dji|sam|imag|screen\s?shot|screenshot|wp|image|photo|picture)
            (?:\s?[-_]\s?|(?=\d{4}))\d[\d_-]*\b(?:\s?\(\d+\))?""",
    re.IGNORECASE | re.VERBOSE,
)
_HANDLE = re.compile(r"(?<!\w)@\w+")
_HASHTAG = r"(?<![\w&])\#[^\W\d]\w*"
_HASHTAGS = re.compile(
    rf"""{_HASHTAG}(?:[\s,]*{_HASHTAG})+ | {_HASHTAG}(?=\W*$) | {_HASHTAG}(?=\s+(?:an?|the|my|this)\s)""",
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER_SIGN = re.compile(r"#\s?\d+|#")
_COPYRIGHT = re.compile(r"©\s*(?:[^\s©]+\s*){0,4}$|©")
_EMPTY_BRACKETS = re.compile(r"[(\[{][\s,;:/|-]*[)\]}]")


def _without_marks(text: str) -> str:
    if "#" in text:
        text = _NUMBER_SIGN.sub(" ", _HASHTAGS.sub(" ", text))
    if "@" in text:
        text = _HANDLE.sub(" ", text).replace("@", " at ")
    if "©" in text:
        text = _COPYRIGHT.sub(" ", text)
    return _EMPTY_BRACKETS.sub(" ", text)


_DEFINITIONS = re.compile(r"\b(?:k|u?hd|full)\b")
"""First or last word, digits left out, of a caption that may name a film's definition there."""
_DEFINITION = re.compile(r"^\W*(?:full )?(?:4k|u?hd)\b(?! of)|[\s,]+(?:in )?(?:4k|u?hd)\W*$", re.IGNORECASE)

# --- boilerplate --------------------------------------------------------------------------------------------------

_MEDIUM = r"(?:photo|image|picture|illustration|footage|video|vector|clip\s?art|pic)(?:graph|graphy)?s?"
_NAME = r"(?:\b\w\s?\.|[^.|;©!?])*"
"""A name up to the end of the sentence; the point of an initial does not end it."""
_AGENCIES = r"""(?:getty(?:\s?images?)?|shutter\s?stock|i\s?stock(?:\s?photo)?|alamy|dreamstime|deposit\s?photos|
    adobe\s?stock|123rf|fotolia|big\s?stock(?:\s?photo)?|thinkstock|can\s?stock(?:\s?photo)?|pixabay|unsplash|pexels|
    wire\s?image|rex\s?features|splash\s?news|ap\s?photo|afp|reuters|flickr|pinterest|instagram|freepik)"""


def _rule(triggers: str, expression: str) -> tuple[frozenset[str], re.Pattern[str]]:
    return frozenset(triggers.split()), re.compile(expression, re.IGNORECASE | re.VERBOSE)


_MEDIA = "photo photos photograph photographs photography image images picture pictures pic pics "
_RULES = (
    (frozenset("http https www com net org co edu gov info twitter".split()), _ADDRESS),
    (
        frozenset(
            """
            jpg jpeg png gif webp bmp tif tiff heic svg mp mov avi img dsc dscf dscn dcim pxl mvi vid gopr dji sam imag
            screen screenshot wp image photo picture
            """.split()
        ),
        _FILE_NAME,
    ),
    _rule(
        "contain available be property",
        rf"""\b(?:an?\ )?image\ may\ contain\s*:? | \bmay\ be\ an?\ {_MEDIUM}\ of | ^property\ image\b |
        \bno\ photo\ description\ available\b\.? | \bno\ automatic\ alt\ text\ available\b\.?""",
    ),
    _rule(
        "stock royalty",
        rf"""\b(?:an?\ |the\ )?(?:(?:free|premium|rare|editorial)\ )?(?:stock|royalty\s*-?\s*free)
        (?:\s*-?\s*(?:stock|free))?[\s-]+{_MEDIUM}\b(?:\s+(?:of\b|:|-))? |
        \broyalty\s*-?\s*free\b | \bstock\ vector\b | \bstock\s*$""",
    ),
    _rule(
        "vector royalty",
        r"""(?<!\bthe)(?<!\ba)(?<!\band)(?:\s*[-,])?\s+(?:vector|royalty)(?:\s+(?:image|illustration|art))*\s*$ |
        ^vector\s*$""",
    ),
    _rule(
        "click tap",
        rf"""\b(?:please\ )?(?:click|tap)\s(?:(?:here|on\ )?\s?(?:the\ |this\ )?(?:{_MEDIUM}|thumbnail)?\s?)?
        (?:to|for|through)\s(?:(?:the|a|see|view|additional|more|read)\ )*
        (?:enlarge|zoom(?:\ in)?|larger|bigger|full|look|details?|information|info|version|original|more)
        (?:[\s-](?:{_MEDIUM}|view|size|screen|version|resolution|details?|information))*""",
    ),
    _rule(
        "larger full bigger bio more reserved",
        rf"""\b(?:view|see)\ (?:larger|full|bigger)[\s-]?(?:size)?(?:\ (?:{_MEDIUM}|map))?\b |
        \b(?:link|shop)\ in\ bio\b | \b(?:read|see)\ more\s*\W*$ | \ball\ rights\ reserved\b\.?""",
    ),
    _rule(
        _MEDIA,
        rf"""(?:^|[,.|:;(/-]|\s(?=photogra))\s*(?:photo|photograph|photography|picture|image)s?\ by\s{_NAME} |
        (?:^|[,.|:;(/-])\s*(?:photo|photograph)s?\ (?:was\ )?taken\ by\s{_NAME} |
        (?<!\ba\s)(?<!\bthe\s)\bphoto(?:graph)?s?\ by\s(?!(?:an?|the|his|her|my|our|their|its)\b){_NAME} |
        \b(?:photo|image|picture|photograph)\ ?(?:credits?|courtesy|source)\b{_NAME} |
        \bfile\ (?=(?:photo|image|picture)\b)""",
    ),
    _rule(
        _MEDIA + "illustration video footage vector screenshot",
        rf"\s[-|]+\s*(?:stock\s)?(?:{_MEDIUM}|screenshot)\s*(?:\#\s?\d*)?\s*$",
    ),
    _rule("courtesy copyright", rf"\bcourtesy\ of\ {_NAME} | \bcopyright\b\s*(?:\(c\)|©)?\s*(?:[^\s.]+\s*){{0,4}}$"),
    _rule(
        """
        getty gettyimages shutter shutterstock stock istock istockphoto alamy dreamstime deposit depositphotos rf
        fotolia bigstock bigstockphoto thinkstock canstock canstockphoto pixabay unsplash pexels wireimage wire rex
        splash ap afp reuters flickr pinterest instagram freepik
        """,
        rf"(?:[|/(]|\b(?:by|via|from|on|at))?\s*\b{_AGENCIES}\b(?:\s?\)|\s?\.\s?com)?",
    ),
)
"""Each expression beside the words of which a caption must have one for it to remove anything.

Looking up words is cheap; searching for the expressions costs more than everything else together.
"""
_TRIGGERS = frozenset[str]().union(*(triggers for triggers, _ in _RULES))


def _without_boilerplate(text: str, words: Iterable[str]) -> str:
    for triggers, expression in _RULES:
        if not triggers.isdisjoint(words):
            text = expression.sub(" ", text)
    return text


# --- language -----------------------------------------------------------------------------------------------------

_LATIN = r"\u0000-\u024f\u1e00-\u1eff\ufb00-\ufb06"
_OTHER_SCRIPT = re.compile(rf"[^\W\d_{_LATIN}]")
_OTHER_SCRIPTS = re.compile(rf"\w*[^\W\d_{_LATIN}]\w*")
_ENGLISH = dict.fromkeys(
    """
    the and with of from his her their this that these those are were it its he she they you your my we our what how
    who which where when while by into through over under near behind between has have been being
    """.split(),
    1.0,
) | dict.fromkeys("a an in on is at for to was as up out not be".split(), 0.5)
_FOREIGN = dict.fromkeys(
    """
    der das und ein eine einen einem einer mit auf im dem für nicht ist zu zum zur bei aus nach sich über
    el los una unos unas del por que muy y está en
    un une dans avec sur et est aux cette qui ses sont très
    il gli della nel nella sono alla sul sulla dal dei delle degli lo è
    um uma dos das não ao em à é são
    een het op met voor zijn niet aan
    og på av ett och som att är ikke på
    się jest przez dla oraz nie bir ve için ile yang dengan untuk dari și cu pe és egy
    """.split(),
    1.0,
) | dict.fromkeys("de la le les las des du di da den die von con para com au l d pour os os na med al bu".split(), 0.5)
"""Function words of other languages that use Latin script. Half of a vote for those that English captions use too, in
names ("tour de france", "las vegas") or as words of their own ("die", "con"). Words that are plain English ("van",
"per", "son", "fur", "am", "pro") are left out."""
_ENOUGH = 1.5
_FRENCH_IN_ENGLISH = frozenset("suite suites route masse plein pointe vogue bloc".split())
_ACCENTED = re.compile(r"[^\x00-\x7f]")
_MANY_ACCENTED = 4


def is_foreign(text: str, words: Iterable[str]) -> bool:
    """Whether a text is certainly in another language than English.

    Certainly: a short English noun phrase has no function word to know it by, and must not be lost. So a text counts as
    English until there is evidence against it:

    - at least half of its letters are of another script than Latin, or
    - the function words of other languages in it, those that English captions use too at half a vote, make 1.5 votes,
      and more than twice those of English function words, or
    - at least four words, and more than 40 in 100, are spelt with accents, and no English function word is among them.

    So "ein Hund auf dem Strand" is foreign; "chien noir" and "place de la concorde" are not.

    Args:
        text: the caption.
        words: its words, lower-case.
    """
    words = list(words)
    if text.isascii() and _FOREIGN.keys().isdisjoint(words):
        return False
    letters = sum(map(len, words))
    if 2 * len(_OTHER_SCRIPT.findall(text)) >= max(letters, 1):
        return True
    english = sum(_ENGLISH.get(word, 0.0) for word in words)
    foreign = sum(_FOREIGN.get(word, 0.0) for word in words)
    if "en" in words and not _FRENCH_IN_ENGLISH.isdisjoint(words):
        foreign -= 1.0
    if foreign >= _ENOUGH and foreign > 2 * english:
        return True
    accented = sum(_ACCENTED.search(word) is not None for word in words)
    return accented >= _MANY_ACCENTED and accented > 0.4 * len(words) and not english
