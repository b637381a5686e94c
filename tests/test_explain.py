"""``facetmine explain``: what it says of triplets that are true, of ones that are not, and of ids that nobody has."""

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import Caption, Fact, World, dataset, facts_parts, read_table
from test_kinds import ANY, town

import beam_runner
from pipeline import explain
from pipeline.config import KINDS, MiningConfig
from pipeline.job import Job
from schemas.manifest import Manifest
from schemas.views import connect

ROLES = ("reference", "target", "text_distractor", "image_distractor")


def make(folder: Path, world: World, config: MiningConfig = ANY) -> tuple[Path, list[dict[str, Any]]]:
    job: Job = dataset(folder, facts_parts(world, 3))
    job.mine(config)
    job.write()
    job.write_manifest()
    return folder, read_table(job, "triplets").to_pylist()


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    return make(tmp_path_factory.mktemp("explain") / "out", town(1, 150))


def told(out: Path, triplet: str) -> list[str]:
    manifest = Manifest.read(str(out))
    with connect(str(out), manifest) as connection:
        return list(explain.explain(connection, manifest, triplet))


def verdicts(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("  yes  ", "  NO   ", "  no   "))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_requirement_holds_of_what_is_mined(mined: tuple, kind: str) -> None:
    out, rows = mined
    of_kind = [row for row in rows if row["kind"] == kind]
    for row in of_kind[:: max(len(of_kind) // 6, 1)]:
        lines = told(out, row["triplet_id"])
        assert not [line for line in lines if line.startswith(("  NO", "  no "))]
        assert len(verdicts(lines)) >= 10
        assert lines[1].startswith(f"kind       {kind} (train): ")
        assert lines[3].startswith(f"condition  {row['condition']}")
        for role in ROLES:
            assert f"  * {row[f'{role}_caption']}" in lines
            assert f"\n{role.replace('_', ' ')}  {row[f'{role}_source']}: {row[f'{role}_id']}" in lines


def test_it_shows_all_captions_with_names_and_values(mined: tuple) -> None:
    out, rows = mined
    world = town(1, 150)
    captions = {image: [row[2] for row in world.rows if row[0] == image] for image in world.facts}
    several = next(
        row
        for row in rows
        if row["kind"] == "change_attribute" and len(set(captions["town", row["reference_id"]])) > 1
    )  # fmt: skip
    lines = told(out, several["triplet_id"])
    image = ("town", several["reference_id"])
    shown = lines[lines.index(f"\nreference  town: {several['reference_id']}") + 1 :]
    shown = [line[4:] for line in shown[: shown.index(next(line for line in shown if line[:1] == "\n"))]
             if line.startswith(("  * ", "  - "))]  # fmt: skip
    assert shown == sorted(set(captions[image]))
    start = next(number for number, line in enumerate(lines) if "no caption of the reference claims" in line)
    assert lines[start] == f'  yes  no caption of the reference claims "{several["target_attribute"]}"'
    named = next(line for line in lines[start:] if "things named: " in line)
    assert named.partition(": ")[2].split(", ") == sorted(world.names[image])
    stated = {value for caption in world.captions if caption.image == image for _, value in caption.attributes}
    assert next(line for line in lines[start:] if "values stated: " in line).partition(": ")[2] == ", ".join(
        sorted(stated)
    )


def small() -> World:
    """One dog on a beach with a hat, whose contrasts wear something else."""
    facts = [
        ("target", "dog", "hat"), ("reference", "dog", "scarf"), ("contrast", "puppy", "collar"),
        ("contrast2", "dog", "coat"), ("text", "car", "hat"),
    ]  # fmt: skip
    return World(tuple(Caption(("s", image), (Fact(subject, "with", thing),)) for image, subject, thing in facts))


def test_a_reference_that_claims_the_condition_is_found_out(tmp_path: Path) -> None:
    out, rows = make(tmp_path / "out", small(), dataclasses.replace(ANY, kinds=("relation",)))
    row = next(row for row in rows if row["condition"] == "with hat" and row["reference_id"] == "reference")
    lines = told(out, row["triplet_id"])
    assert '  yes  no caption of the reference claims "hat"' in lines
    assert f"prior           {row['prior']:.3f}" in "\n".join(lines)

    # Somebody changes the facts: the reference's caption names a sun hat too.
    for path in (out / "facts").glob("*.parquet"):
        table = pq.read_table(path)
        names = [
            [*row["entities"], *(["sun hat"] if row["image_id"] == "reference" else [])] for row in table.to_pylist()
        ]
        index = table.schema.get_field_index("entities")
        pq.write_table(
            table.set_column(index, table.schema.field(index), pa.array(names, table.schema.field(index).type)), path
        )
    lines = told(out, row["triplet_id"])
    assert '  NO   no caption of the reference claims "hat", but for: sun hat' in lines
    assert sum(line.startswith("  NO") for line in lines) == 1


def test_filters_are_told_with_value_and_threshold(tmp_path: Path) -> None:
    config = dataclasses.replace(ANY, kinds=("relation",), min_concreteness=4.0, visible_only=True)
    out, rows = make(tmp_path / "out", small(), config)
    lines = told(out, rows[0]["triplet_id"])
    concrete = next(line for line in lines if "min_concreteness" in line)
    assert concrete.startswith("  yes  min_concreteness 4, unrated words pass: dog 4.85, ")
    assert any(line.startswith("  yes  visible_only: no fact") for line in lines)
    assert any(line.endswith("the parser gives none") and "min_confidence" in line for line in lines)


def test_the_genecis_sampler_is_asked_for_less(tmp_path: Path) -> None:
    facts = [
        (f"image{number}", subject, thing)
        for number, (subject, thing) in enumerate([("dog", "hat"), ("dog", "ball"), ("man", "hat")] * 8)
    ]
    # The reference names what its condition is about: the published sampler does not look.
    world = World(
        tuple(
            Caption(("s", image), (Fact(subject, "with", thing),), mentions=("hat", "ball"))
            for image, subject, thing in facts
        )
    )
    genecis = MiningConfig(
        sampler="genecis", kinds=("relation",), weights=(1.0,), visible_only=False, min_concreteness=-10.0, triplets=20
    )
    out, rows = make(tmp_path / "out", world, genecis)
    lines = told(out, rows[0]["triplet_id"])
    said = f'  no   no caption of the reference claims "{rows[0]["target_object"]}"'
    assert any(line.startswith(said) and line.endswith("does not ask for it)") for line in lines)
    assert not any(line.startswith("  NO") for line in lines)


def test_the_beginning_of_an_id_is_enough_where_no_other_has_it(
    mined: tuple, capsys: pytest.CaptureFixture[str]
) -> None:
    out, rows = mined
    ids = sorted(row["triplet_id"] for row in rows)
    wanted = ids[len(ids) // 2]
    unique = next(
        wanted[:length] for length in range(1, 33) if sum(name.startswith(wanted[:length]) for name in ids) == 1
    )
    assert beam_runner.main(["explain", str(out), unique.upper()]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"triplet    {wanted}"
    assert beam_runner.main(["explain", str(out), unique[:-1]]) == 1
    shown, complaints = capsys.readouterr()
    assert shown == ""
    assert complaints.count("\n") == 1
    assert "several triplets" in complaints


@pytest.mark.parametrize("triplet", ["no-such-id", "", "' OR true --"])
def test_an_unknown_id_is_told_in_one_line(mined: tuple, triplet: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = mined
    assert beam_runner.main(["explain", str(out), triplet]) == 1
    shown, complaints = capsys.readouterr()
    assert shown == ""
    assert complaints.count("\n") == 1
    assert "triplet_id" in complaints.lower()


def test_no_dataset_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert beam_runner.main(["explain", str(tmp_path / "nothing"), "ab"]) == 1
    shown, complaints = capsys.readouterr()
    assert (shown, complaints.count("\n")) == ("", 1)
