"""Examples of every subcommand, as ``--help`` shows them."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": (
        "facetmine run --input captions.tsv --output out/mine",
        "facetmine run --input coco=annotations/*.json cc=cc3m.tsv --output out/mine --triplets 100000 --split 0.05",
    ),
    "read": ("facetmine read --input captions.tsv --output out/mine",),
    "parse": (
        "facetmine parse --input captions.tsv --output out/mine",
        'facetmine parse --text "Two small dogs run after a red ball"',
    ),
    "score": ("facetmine score --output out/mine --images shards/ --clip-model ViT-B-32 --clip-pretrained WEIGHTS",),
    "mine": (
        "facetmine mine --output out/mine --triplets 100000 --seed 1",
        "facetmine mine --output out/mine --kinds relation,change_attribute --split 0.05",
    ),
    "demo": ("facetmine demo", "facetmine demo --output out/demo --triplets 500"),
    "query": (
        'facetmine query out/mine "FROM triplets LIMIT 5"',
        "facetmine query out/mine \"FROM triplets_of('dog')\" --format csv > dog.csv",
    ),
    "inspect": ("facetmine inspect out/mine", "facetmine inspect out/mine --triplets 20 --seed 1"),
    "report": ("facetmine report out/mine --html mine.html", "facetmine report out/mine out/other --html both.html"),
    "explain": ("facetmine explain out/mine 5925e2ec",),
    "browse": (
        "facetmine browse out/mine",
        "facetmine browse out/pictures --images shards/ --judge ann",
    ),
    "audit": ("facetmine audit out/mine --width 0.05",),
    "calibrate": ("facetmine calibrate out/mine --wrong 0.03 --toml >> mine.toml",),
    "fetch": ("facetmine fetch --input captions.tsv --output shards/",),
    "toyworld": ("facetmine toyworld --output toy --images 5000 --wrong 0.2",),
    "train": (
        "facetmine train out/mine --output out/run",
        "facetmine train out/mine --output out/run --resume latest",
    ),
    "evaluate": (
        "facetmine evaluate --queries mine.jsonl --gallery pictures/ --model out/run image+text",
        "facetmine evaluate --task genecis --templates genecis/ --images val2017/ --vg-images VG/ --model out/run",
    ),
    "search": ('facetmine search --gallery pictures/ --reference chair.jpg --condition "in red" --model out/run',),
    "plan": ("facetmine plan --input captions.tsv",),
    "pack": ("facetmine pack --output facetmine.tar.gz",),
    "completion": (
        "facetmine completion bash > ~/.local/share/bash-completion/completions/facetmine",
        "facetmine completion zsh > ~/.zfunc/_facetmine     # with ~/.zfunc in $fpath",
        "facetmine completion fish > ~/.config/fish/completions/facetmine.fish",
    ),
}
"""Shell commands by subcommand; the most usual first."""


def of(command: str) -> str:
    """The examples of a subcommand as a paragraph; empty where there are none."""
    lines = EXAMPLES.get(command, ())
    return "\n".join([f"example{'s' if len(lines) > 1 else ''}:", *(f"  {line}" for line in lines)]) if lines else ""
