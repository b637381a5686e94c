"""``facetmine train``: a Combiner from triplets, on cached features or with the encoder fine-tuned."""

import argparse
import importlib.util
import sys

DESCRIPTION = """\
Train a Combiner, which joins a picture and a condition into one query, on the triplets of OUT.

  facetmine train OUT --output RUN
      on the image embeddings of stage score: minutes on a CPU
  facetmine train OUT --output RUN --images 'shards/*.tar' --model ViT-B-16 --pretrained openai
      images are encoded first, once, and kept in RUN/cache (--cache shares them between runs)
  facetmine train OUT --output RUN --images 'shards/*.tar' --model RN50x4 --pretrained openai --whole
      the encoder is fine-tuned as well, as GeneCIS was; needs GPUs
  torchrun --nproc-per-node 8 --no-python facetmine train OUT ...
      the same on eight GPUs; a batch is shared among them, so the result is that of one
  facetmine train ... --resume latest
      go on where a run broke off, exactly

RUN gets best/ and checkpoints/ (safetensors with the whole configuration), training.csv, validation.csv and
tensorboard/.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", metavar="OUT", help="output folder of facetmine run, mined with --split 0.05")
    parser.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of this run")
    parser.add_argument(
        "--resume", metavar="latest|DIR", help="go on from the run's latest checkpoint, or from that one"
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--images", nargs="+", metavar="SOURCE",
        help="WebDataset shards, folders or Parquet files with the images, where OUT has no embeddings of this encoder",
    )  # fmt: skip
    data.add_argument("--kinds", type=_names, metavar="KIND,KIND", help="train on these kinds of triplets only")
    data.add_argument("--cache", metavar="DIR", help="folder for what is encoded once (default RUN/cache)")
    data.add_argument(
        "--workers", type=int, default=None, metavar="N",
        help="processes that load (default: none for cached features, else one a core)",
    )  # fmt: skip
    model = parser.add_argument_group("model")
    model.add_argument("--model", metavar="NAME", help="encoder (default: that of OUT's stage score)")
    model.add_argument("--pretrained", metavar="TAG|FILE", help="its weights")
    model.add_argument("--whole", action="store_true", help="fine-tune the encoder too; sets the published recipe")
    model.add_argument(
        "--projection", type=int, metavar="N",
        help="size to which the Combiner projects features (default 4 times theirs; hidden layers have twice it)",
    )  # fmt: skip
    model.add_argument("--dropout", type=float, metavar="P", help="of the Combiner (default 0.1; --whole: 0.5)")
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument(
        "--epochs", type=int, metavar="N", help="default: 6 with --whole, else by the number of triplets"
    )
    recipe.add_argument(
        "--batch-size", type=int, metavar="N", help="rows of a step, all processes together (default 512; --whole: 256)"
    )
    recipe.add_argument("--lr", type=float, metavar="RATE", help="highest learning rate (default 5e-4; --whole: 1e-6)")
    recipe.add_argument("--weight-decay", type=float, metavar="W", help="of AdamW (default 0.01; --whole: 0)")
    recipe.add_argument(
        "--warmup", type=float, default=0.05, metavar="SHARE", help="of the steps (default %(default)s)"
    )
    recipe.add_argument("--temperature", type=float, default=0.01, metavar="T", help="of InfoNCE (default 1/100)")
    recipe.add_argument(
        "--hard-negatives", action=argparse.BooleanOptionalAction, default=False,
        help="put a triplet's own distractors among its negatives (default: do not, which did better on toy worlds)",
    )  # fmt: skip
    recipe.add_argument(
        "--clip", type=float, default=1.0, metavar="NORM", help="largest gradient (default %(default)s)"
    )
    recipe.add_argument("--seed", type=int, default=0, metavar="N", help="of every random choice")
    run = parser.add_argument_group("running")
    run.add_argument("--device", metavar="DEVICE", help="cpu, cuda, ... (default: a GPU where there is one)")
    run.add_argument(
        "--precision", choices=("fp32", "bf16"), help="arithmetic (default bf16 on a GPU with --whole, else fp32)"
    )
    run.add_argument(
        "--every",
        type=int,
        default=0,
        metavar="STEPS",
        help="steps between validations and checkpoints (default: an epoch)",
    )
    run.add_argument("--keep", type=int, default=3, metavar="N", help="checkpoints to keep beside the best (default 3)")


def run(given: argparse.Namespace) -> int:
    """Train; the exit status is 0, 1 for failure, 2 for bad usage."""
    missing = [
        name for name in ("torch", "open_clip", "safetensors", "tensorboard") if not importlib.util.find_spec(name)
    ]
    if missing:
        print(
            f"facetmine: train needs the train extra ({', '.join(missing)}): pip install 'facetmine[train]'",
            file=sys.stderr,
        )
        return 1
    from downstream.runs import start

    return start(given)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
