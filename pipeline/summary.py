"""What a command prints when it is done."""

from rich.console import Console
from rich.table import Table

from schemas.manifest import Manifest


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that rich handles when it calls this; rich itself would exit with status 1


def print_summary(manifest: Manifest, output: str) -> None:
    """The stages as a table, their notes, and where the output is.

    Raises:
        BrokenPipeError: the reader of standard output has gone.
    """
    console = _Console()
    table = Table(title=None, header_style="bold", pad_edge=False)
    for column, justify in (("stage", "left"), ("rows in", "right"), ("rows out", "right"), ("rejects", "left"),
                            ("seconds", "right"), ("rows in/s", "right")):  # fmt: skip
        table.add_column(column, justify=justify, overflow="fold", no_wrap=justify == "right")  # type: ignore[arg-type]
    for name, stage in manifest.stages.items():
        by_number = sorted(stage.rejects.items(), key=lambda reject: (-reject[1], reject[0]))
        rejects = "\n".join(f"{rows:,} {reason}" for reason, rows in by_number)
        table.add_row(name, f"{stage.rows_in:,}", f"{stage.rows_out:,}", rejects or "-", f"{stage.seconds:,.1f}",
                      f"{stage.rows_in / max(stage.seconds, 1e-3):,.0f}")  # fmt: skip
    console.print(table)
    for name, stage in manifest.stages.items():
        for note in stage.notes:
            console.print(f"{name}: {note}", soft_wrap=True)
    files = [file for stage in manifest.stages.values() for file in stage.files]
    size = sum(file.bytes for file in files) / 1e6
    console.print(f"{output}: {len(files):,} files, {size:,.1f} MB", soft_wrap=True, highlight=False)
