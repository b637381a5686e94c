"""The Flex Template's parameters, from the options of ``facetmine run``: writes ``metadata.json`` beside this file.

python -m dataflow.metadata
"""

import argparse
import json
from pathlib import Path
from typing import Any

from pipeline import options

FILE = Path(__file__).with_name("metadata.json")

_WHOLE = r"^[0-9][0-9_,]*$"
_TEXT = r"^\S(.*\S)?$"
_URLS = r"^([^\s=]+=)?(gs|s3)://\S+(\s+([^\s=]+=)?(gs|s3)://\S+)*$"
_URL = r"^(gs|s3)://\S+$"
PATTERNS = {
    "input": _URLS,
    "output": r"^(gs|s3)://[^\s*?\[\]]+$",
    "partitions": _WHOLE,
    "images": _URLS,
    "image_embeddings": _URL,
    "clip_model": _TEXT,
    "clip_pretrained": _TEXT,
    "clip_batch_size": _WHOLE,
    "clip_device": r"^(cpu|mps|cuda(:[0-9]+)?)$",
    "clip_accelerator": r"^type:\S+$",
    "relation_template": _TEXT,
    "attribute_template": _TEXT,
    "config": r"^\S+\.toml$",
    "triplets": _WHOLE,
    "kinds": r"^[a-z_]+(\s*,\s*[a-z_]+)*$",
    "seed": _WHOLE,
    "split": r"^0(\.[0-9]+)?$",
}
"""What a value must match, of options that neither have choices nor are switches."""

LEFT_OUT = {"help", "verbose", "dry_run", "engine", "spark_master", "spark_archive", "spark_conf"}
"""Options that mean nothing there."""


def metadata() -> dict[str, Any]:
    """The template's description, as Dataflow wants it."""
    return {
        "name": "facetmine",
        "description": "Conditional triplets (reference image, text condition, target image, hard negatives) from the "
        "captions of images. A small driver job starts a job for each stage.",
        "streaming": False,
        "parameters": [_parameter(action) for action in options.run_options() if action.dest not in LEFT_OUT],
    }


def _parameter(action: argparse.Action) -> dict[str, Any]:
    told = (action.help or "") % vars(action)
    if action.nargs == 0:
        pattern = "^(true|false)$"
    elif action.choices is not None:
        pattern = f"^({'|'.join(map(str, action.choices))})$"
    else:
        pattern = PATTERNS[action.dest]
    if action.nargs == "+":
        told += "; several with spaces between"
    return {
        "name": action.dest,
        "label": action.dest.replace("_", " ").capitalize(),
        "helpText": told[:1].upper() + told[1:],
        "isOptional": not action.required,
        "regexes": [pattern],
    }


def text() -> str:
    """What ``metadata.json`` should hold."""
    return json.dumps(metadata(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
