"""Stage score: every image and text encoded once, scores as a plain loop gives them, nothing lost or done twice."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import ROOT, facetmine
from datasets import checksums, copy, manifest, modification_times
from factories import local_runner, read_table
from pictures import captions, picture, png, write_model, write_tar

import beam_runner
from pipeline import encoding
from pipeline.config import MiningConfig, ScoreConfig
from pipeline.embeddings import EmbeddingsError, Precomputed
from pipeline.job import Job
from pipeline.routing import Batch
from pipeline.runner import UsageError
from pipeline.store import StoreError
from pipeline.wording import Templates
from schemas.manifest import Stage

pytest.importorskip("open_clip")

PARTITIONS = 2
BROKEN, MISSING = 7, 11
"""Numbers of the picture that is no picture and of the one that is not there."""
TABLES = ("image_embeddings", "text_embeddings", "scores")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures, two of which cannot be had, in two tars."""
    folder = tmp_path_factory.mktemp("shards")
    samples = []
    for number, caption in enumerate(captions()):
        image = {BROKEN: b"not a picture", MISSING: None}.get(number, png(picture(number)))
        samples.append((f"{number:05d}", image, caption))
    write_tar(folder / "00000.tar", samples[:30])
    write_tar(folder / "00001.tar", samples[30:])
    return folder


def settings(model: Path, shards: Path, **changes: object) -> ScoreConfig:
    templates = Templates()
    config = ScoreConfig(
        images=(str(shards),), image_embeddings=None, model=str(model), pretrained=None, device="cpu", precision=None,
        batch=8, accelerator=None, relation_template=templates.relation, attribute_template=templates.attribute,
    )  # fmt: skip
    return dataclasses.replace(config, **changes)


@pytest.fixture(scope="module")
def parsed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captions read and parsed. Copy it to change it."""
    out = tmp_path_factory.mktemp("parsed") / "out"
    job = Job(str(out), local_runner())
    job.read([str(shards)], None, PARTITIONS)
    job.parse("default")
    return out


@pytest.fixture(scope="module")
def scored(parsed: Path, model: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with scores. Copy it to change it."""
    out = copy(parsed, tmp_path_factory.mktemp("scored") / "out")
    job, stage = score(out, settings(model, shards))
    assert stage.rows_in == 48
    assert job.runner.counters["score_images_encoded"] == 46
    return out


def score(out: Path, config: ScoreConfig) -> tuple[Job, Stage]:
    job = Job(str(out), local_runner())
    stage = job.score(config)
    job.write_manifest()
    return job, stage


def table(out: Path, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted((out / name).glob("*.parquet"))])


def test_the_scores_are_those_of_a_loop_over_pairs(scored: Path, model: Path) -> None:
    import encoders

    encoder = encoders.load(str(model), device="cpu")
    facts, scores = table(scored, "facts").to_pylist(), table(scored, "scores").to_pylist()
    assert len(facts) == len(scores) > 48
    for fact, row in zip(facts, scores, strict=True):
        assert (fact["image_id"], fact["caption_index"]) == (row["image_id"], row["caption_index"])
        number = int(fact["image_id"])
        if number in (BROKEN, MISSING):
            assert row["caption_score"] is row["fact_score"] is row["shuffled_caption_score"] is None
            continue
        image = encoder.encode_images(encoder.preprocess(picture(number))[None])[0]
        if fact["kind"] == "relation":
            sentence = f"a photo of {fact['subject']} {fact['predicate']} {fact['object']}"
        else:
            sentence = f"a photo of {fact['attribute']} {fact['subject']}"
        caption, said = encoder.encode_texts([fact["caption"], sentence])
        assert row["caption_score"] == pytest.approx(float(image @ caption), abs=2e-3)
        assert row["fact_score"] == pytest.approx(float(image @ said), abs=2e-3)


def test_a_shuffled_score_is_of_another_image_of_the_part(scored: Path) -> None:
    for part in sorted((scored / "scores").glob("*.parquet")):
        scores = pq.read_table(part)
        facts = pq.read_table(scored / "facts" / part.name)
        images = pq.read_table(scored / "image_embeddings" / part.name)
        texts = pq.read_table(scored / "text_embeddings" / part.name)
        vectors = np.stack(images["embedding"].to_pylist()).astype(np.float32)
        of_text = dict(zip(texts["text"].to_pylist(), texts["embedding"].to_pylist(), strict=True))
        rows = dict(zip(images["image_key"].to_pylist(), range(len(images)), strict=True))
        for row, caption in zip(scores.to_pylist(), facts["caption"].to_pylist(), strict=True):
            if row["caption_score"] is None:
                continue
            cosines = vectors @ np.array(of_text[caption], np.float32)
            others = np.delete(cosines, rows[row["image_key"]])
            assert np.abs(others - row["shuffled_caption_score"]).min() < 1e-5


def test_every_image_and_every_distinct_text_is_encoded_once(
    parsed: Path, model: Path, shards: Path, tmp_path: Path
) -> None:
    job, stage = score(copy(parsed, tmp_path / "out"), settings(model, shards))
    facts = read_table(job, "facts")
    texts = {*facts["caption"].to_pylist(), *Templates().sentences(facts).to_pylist()}
    assert job.runner.counters["score_texts_encoded"] == len(texts)
    assert job.runner.counters["score_images_encoded"] == stage.rows_out == 46
    assert set(read_table(job, "text_embeddings")["text"].to_pylist()) == texts
    embeddings = read_table(job, "image_embeddings")
    assert embeddings["image_id"].to_pylist() != []
    assert len(set(embeddings["image_key"].to_pylist())) == len(embeddings) == 46
    lengths = np.linalg.norm(np.stack(embeddings["embedding"].to_pylist()).astype(np.float32), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)


def test_images_that_cannot_be_had_are_rejects_and_rows_add_up(scored: Path) -> None:
    stage = manifest(scored)["stages"]["score"]
    assert stage["rejects"] == {"missing_image": 1, "not_an_image": 1}
    assert stage["rows_in"] == stage["rows_out"] + 2 == 48
    rejects = table(scored, "rejects").to_pylist()
    found = {row["image_id"]: row["reason"] for row in rejects if row["stage"] == "score"}
    assert found == {f"{BROKEN:05d}": "not_an_image", f"{MISSING:05d}": "missing_image"}
    assert set(checksums(scored)) >= {f"{name}/part-{part:05d}-of-00002.parquet" for name in TABLES for part in (0, 1)}
    assert [path for path in (scored / "_stages").iterdir() if path.is_dir()] == []


def test_scoring_again_and_mining_with_another_threshold_encode_nothing(
    scored: Path, model: Path, shards: Path, tmp_path: Path
) -> None:
    out = copy(scored, tmp_path / "out")
    before = {path: time for path, time in modification_times(out).items() if path.startswith(TABLES)}
    job, _ = score(out, settings(model, shards, batch=5))  # the same scores, by other batches
    for least in (-0.5, 0.02):
        job.mine(MiningConfig(min_caption_score=least))
        job.write()
    assert {path: time for path, time in modification_times(out).items() if path.startswith(TABLES)} == before
    assert not any("encoded" in name for name in job.runner.counters)


def test_an_interrupted_stage_encodes_only_what_is_missing(
    scored: Path, parsed: Path, model: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.score.IMAGES_PER_CHUNK", 10)
    out = copy(parsed, tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(Job, "_remove_steps", lambda *_: None)  # what a run leaves that is killed at its very end
        score(out, settings(model, shards))
    (receipts,) = (out / "_stages").glob("score-*.encode")
    chunks = sorted((out / "_stages").glob("score-*.chunks/00000/*.arrow"))
    assert len(chunks) > 1
    lost = Batch.from_stream(chunks[0].read_bytes()).table["embedding"].is_valid().to_numpy().sum()
    chunks[0].unlink()
    (receipts / "part-00000.json").unlink()
    (receipts.with_suffix("") / "part-00000.json").unlink()
    mark = out / "_stages/score.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "stage": None}))
    job, stage = score(out, settings(model, shards))
    assert job.runner.counters["score_images_encoded"] == lost <= 10
    assert job.runner.counters["score_texts_encoded"] == 0
    assert stage.rows_out == 46
    assert {path: sha for path, sha in checksums(out).items() if path.startswith(TABLES)} == {
        path: sha for path, sha in checksums(scored).items() if path.startswith(TABLES)
    }


def test_another_model_is_refused_without_force(scored: Path, shards: Path, tmp_path: Path) -> None:
    out, other = copy(scored, tmp_path / "out"), write_model(tmp_path / "other", seed=1)
    with pytest.raises(StoreError, match=r"holds another run .*model"):
        score(out, settings(other, shards))
    job = Job(str(out), local_runner(), force=True)
    job.score(settings(other, shards))
    job.write_manifest()
    assert (
        checksums(out)["scores/part-00000-of-00002.parquet"] != checksums(scored)["scores/part-00000-of-00002.parquet"]
    )


def mined(out: Path, config: MiningConfig) -> tuple[Stage, Stage, list[dict]]:
    job = Job(str(out), local_runner())
    mine, write = job.mine(config), job.write()
    job.write_manifest()
    return mine, write, read_table(job, "triplets").to_pylist()


LENIENT = MiningConfig(min_confidence=0.0, min_concreteness=0.0, max_prior=1.0)


def test_facts_that_do_not_fit_are_rejected_with_a_row_each(scored: Path, tmp_path: Path) -> None:
    scores = table(scored, "scores")
    caption, fact = (scores[name].to_numpy() for name in ("caption_score", "fact_score"))
    config = dataclasses.replace(
        LENIENT, min_caption_score=float(np.nanquantile(caption, 0.3)), min_fact_score=float(np.nanquantile(fact, 0.4))
    )
    mine, _, triplets = mined(copy(scored, tmp_path / "out"), config)
    wrong = caption < config.min_caption_score
    assert mine.rejects["no_picture"] == np.isnan(caption).sum()
    assert mine.rejects["does_not_fit_caption"] == wrong.sum()
    assert mine.rejects["not_in_picture"] == (~wrong & (fact < config.min_fact_score)).sum()
    assert mine.rows_in == mine.rows_out + sum(mine.rejects.values()) == len(scores)
    rejected = {row["image_id"] for row in table(tmp_path / "out", "rejects").to_pylist() if row["stage"] == "mine"
                and row["reason"] in ("no_picture", "does_not_fit_caption")}  # fmt: skip
    used = {row[f"{role}_id"] for row in triplets for role in ("reference", "target", "text_distractor")}
    assert triplets
    assert used.isdisjoint(rejected)


def test_the_top_share_of_captions_is_kept(scored: Path, tmp_path: Path) -> None:
    mine, _, _ = mined(copy(scored, tmp_path / "out"), dataclasses.replace(LENIENT, caption_top_share=0.5))
    captions_of = table(scored, "scores").group_by(["image_key"]).aggregate([("caption_score", "max")])
    least = float(np.quantile(captions_of["caption_score_max"].drop_null().to_numpy(), 0.5))
    below = (table(scored, "scores")["caption_score"].to_numpy() < least - 1e-3).sum()
    above = (table(scored, "scores")["caption_score"].to_numpy() < least + 1e-3).sum()
    assert below <= mine.rejects["does_not_fit_caption"] <= above


@pytest.mark.parametrize("kind", ["relation", "focus_attribute", "composite"])
def test_triplets_carry_scores_and_margins_hold(scored: Path, tmp_path: Path, kind: str) -> None:
    out = copy(scored, tmp_path / "out")
    config = dataclasses.replace(LENIENT, kinds=(kind,), weights=(1.0,))
    _, write, triplets = mined(out, config)
    assert write.rejects == {}
    assert triplets
    images = {row["image_id"]: np.array(row["embedding"], np.float32)
              for row in table(out, "image_embeddings").to_pylist()}  # fmt: skip
    texts = {row["text"]: np.array(row["embedding"], np.float32) for row in table(out, "text_embeddings").to_pylist()}

    def statements(row: dict) -> list[np.ndarray]:
        said = [(row[f"{role}_predicate"], row[f"{role}_object"], row[f"{role}_attribute"])
                for role in ("target", "target_second")]  # fmt: skip
        sentences = [f"a photo of {value} {row['subject']}" if value else f"a photo of {row['subject']} {how} {what}"
                     for how, what, value in said if value or what]  # fmt: skip
        return [texts[sentence] for sentence in sentences]

    for row in triplets:
        if not {row[f"{role}_id"] for role in ("reference", "target", "image_distractor")} <= set(images):
            continue
        fits = {role: [float(images[row[f"{role}_id"]] @ text) for text in statements(row)]
                for role in ("target", "reference", "image_distractor")}  # fmt: skip
        assert row["target_score"] == pytest.approx(min(fits["target"]), abs=1e-5)
        assert row["image_distractor_score"] == pytest.approx(min(fits["image_distractor"]), abs=1e-5)
        lead = min(one - other for one, other in zip(fits["target"], fits["reference"], strict=True))
        assert row["target_score"] - row["reference_score"] <= lead + 1e-5
    known = [row for row in triplets if row["target_score"] is not None and row["reference_score"] is not None]
    margin = float(np.median([row["target_score"] - row["reference_score"] for row in known]))
    strict = dataclasses.replace(config, reference_margin=margin, image_distractor_margin=0.0)
    _, write, kept = mined(out, strict)
    assert write.rows_in == write.rows_out + sum(write.rejects.values()) == len(triplets)
    rejects = [row for row in table(out, "rejects").to_pylist() if row["stage"] == "write"]
    assert len(rejects) == sum(write.rejects.values()) > 0
    assert {row["reason"] for row in rejects} <= {"reference_fits_condition", "image_distractor_fits_condition"}
    for row in (row for row in kept if None not in (row["target_score"], row["reference_score"])):
        if kind not in ("focus_attribute", "composite"):
            assert row["target_score"] - row["reference_score"] >= margin - 1e-6
        assert row["image_distractor_score"] is None or row["target_score"] - row["image_distractor_score"] >= -1e-6


def test_the_report_counts_what_the_filters_kept_and_dropped(scored: Path, tmp_path: Path) -> None:
    out = copy(scored, tmp_path / "out")
    captions_of = table(out, "scores").group_by(["image_key"]).aggregate([("caption_score", "max")])
    known = captions_of["caption_score_max"].drop_null().to_numpy()
    least = float(np.quantile(known, 0.2))
    config = dataclasses.replace(LENIENT, min_caption_score=least, reference_margin=0.0)
    mine, write, triplets = mined(out, config)
    assert beam_runner.main(["report", str(out)]) == 0
    counts: dict[str, np.ndarray] = {}
    for row in pq.read_table(out / "report/fit_histograms.parquet").to_pylist():
        counts[row["score"]] = counts.get(row["score"], np.zeros(2, int)) + np.array([row["kept"], row["dropped"]])
    assert counts["caption_score"].tolist() == [(known >= least).sum(), (known < least).sum()]
    rejected = mine.rejects["does_not_fit_caption"] + mine.rejects.get("not_in_picture", 0)
    scored_facts = len(table(out, "scores")) - mine.rejects["no_picture"]
    assert counts["fact_score"].tolist() == [scored_facts - rejected, rejected]
    assert counts["target_score"].tolist() == [len(triplets), sum(write.rejects.values())]
    assert "## How pictures fit" in (out / "report/report.md").read_text()


def test_filters_without_scores_are_one_clear_error(parsed: Path, tmp_path: Path) -> None:
    job = Job(str(copy(parsed, tmp_path / "out")), local_runner())
    for config in (
        MiningConfig(min_caption_score=0.2),
        MiningConfig(reference_margin=0.0),
        MiningConfig(caption_top_share=0.3),
    ):
        with pytest.raises(StoreError, match=r"has no finished stage score.*facetmine score --images"):
            job.mine(config)
    job.mine(MiningConfig())
    assert "target_score" in (written := read_table(job, "triplets") if job.write() else pa.table({})).column_names
    assert written["target_score"].null_count == len(written)


def clip_retrieval(folder: Path, scored: Path, dimension: int | None = None, column: str = "image_path") -> Path:
    """The image embeddings of an output folder in clip-retrieval's layout, in two files."""
    embeddings = table(scored, "image_embeddings")
    vectors = np.stack(embeddings["embedding"].to_pylist()).astype(np.float32)[:, :dimension]
    halves = np.array_split(np.arange(len(embeddings)), 2)
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    for number, rows in enumerate(halves):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", 3 * vectors[rows])  # of any length
        names = embeddings["image_id"].take(pa.array(rows))
        pq.write_table(pa.table({column: names}), folder / "metadata" / f"metadata_{number}.parquet")
    return folder


def test_embeddings_that_are_given_replace_the_images(
    scored: Path, parsed: Path, model: Path, shards: Path, tmp_path: Path
) -> None:
    folder = clip_retrieval(tmp_path / "embeddings", scored)
    out = copy(parsed, tmp_path / "out")
    job, stage = score(out, settings(model, shards, images=(), image_embeddings=str(folder)))
    assert "score_images_encoded" not in job.runner.counters
    assert stage.rejects == {"missing_image": 2}
    found, expected = (table(one, "scores")["fact_score"].to_numpy() for one in (out, scored))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_given_embeddings_that_do_not_fit_are_one_clear_error(
    scored: Path, parsed: Path, model: Path, shards: Path, tmp_path: Path
) -> None:
    out = copy(parsed, tmp_path / "out")
    short = clip_retrieval(tmp_path / "short", scored, dimension=8)
    with pytest.raises(UsageError, match=r"holds embeddings of 8 numbers, and those of .* have 16"):
        score(out, settings(model, shards, images=(), image_embeddings=str(short)))
    with pytest.raises(EmbeddingsError, match=r"has no img_emb/img_emb_0\.npy"):
        Precomputed(str(tmp_path))
    unnamed = clip_retrieval(tmp_path / "unnamed", scored, column="caption")
    with pytest.raises(EmbeddingsError, match="none of the columns url, key, image_id, image_path"):
        Precomputed(str(unnamed)).images(["00001"])
    cut = clip_retrieval(tmp_path / "cut", scored)
    np.save(cut / "img_emb" / "img_emb_1.npy", np.zeros((3, 16), np.float32))
    with pytest.raises(EmbeddingsError, match="file 1 of img_emb is 3 x 16; 23 x 16 is what"):
        Precomputed(str(cut))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--images", "SHARDS"], "--clip-model"),
        (["--clip-model", "MODEL"], "--images"),
        (["--images", "/nowhere/*.tar", "--clip-model", "MODEL"], "/nowhere"),
        (["--images", "SHARDS", "--clip-model", "MODEL", "--relation-template", "{subject} {verb}"], "must hold"),
        (["--images", "SHARDS", "--clip-model", "MODEL", "--clip-batch-size", "0"], "not between 1 and"),
    ],
)
def test_bad_usage_is_one_line(
    parsed: Path, model: Path, shards: Path, options: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [{"SHARDS": str(shards), "MODEL": str(model)}.get(option, option) for option in options]
    assert beam_runner.main(["score", "-o", str(parsed), *filled]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_without_the_extra_it_says_so(
    parsed: Path, model: Path, shards: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("encoders", "encoders.open_clip"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "open_clip", None)
    encoding.encoder.cache_clear()
    arguments = ["score", "-o", str(parsed), "--images", str(shards), "--clip-model", str(model)]
    assert beam_runner.main(arguments) == 2
    assert "pip install 'facetmine[clip]'" in capsys.readouterr().err.splitlines()[-1]


def test_what_needs_no_images_imports_no_torch() -> None:
    program = """
import sys, beam_runner, pipeline.job, pipeline.write
print(sorted({'torch', 'open_clip', 'PIL'} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert done.stdout.strip() == "[]", done.stderr


def test_templates_say_what_they_lack() -> None:
    facts = pa.table({
        "subject": ["man", "car"], "predicate": ["ride", None], "object": ["horse", None], "attribute": [None, "red"],
    })  # fmt: skip
    assert Templates().sentences(facts).to_pylist() == ["a photo of man ride horse", "a photo of red car"]
    own = Templates("{subject}, {object} ({predicate})!", "the {subject} is {attribute}")
    assert own.sentences(facts).to_pylist() == ["man, horse (ride)!", "the car is red"]
    for wrong in ("{subject}", "{subject} {predicate} {object} {attribute}", "{subject", ""):
        with pytest.raises(ValueError, match="template"):
            Templates(relation=wrong)


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    "runner",
    [["--direct_num_workers=2", "--direct_running_mode=multi_processing"], ["--runner=DaskRunner"]],
    ids=["processes", "dask"],
)
def test_every_runner_gives_the_same_bytes(
    scored: Path, parsed: Path, model: Path, shards: Path, tmp_path: Path, runner: list[str]
) -> None:
    out = copy(parsed, tmp_path / "out")
    done = facetmine("score", "-o", out, "--images", shards, "--clip-model", model, "--clip-batch-size=8", *runner)
    assert done.returncode == 0, done.stderr
    stage, expected = (manifest(one)["stages"]["score"] for one in (out, scored))
    assert stage["rejects"] == expected["rejects"]
    assert {file["path"]: file["sha256"] for file in stage["files"]} == {
        file["path"]: file["sha256"] for file in expected["files"]
    }
    assert (
        json.loads((out / "_stages/score.json").read_text())["memory"]
        == json.loads((scored / "_stages/score.json").read_text())["memory"]
    )
