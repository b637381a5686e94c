"""Configuration files: presets are such files, and what is wrong in one is named."""

import dataclasses
from pathlib import Path

import pytest
from commands import facetmine

from pipeline.config import KINDS, PRESETS, ConfigError, MiningConfig, load, preset, with_kinds


def test_the_default_preset_is_what_is_used_without_a_file() -> None:
    assert preset("default") == MiningConfig()


def test_presets_are_files_beside_the_code() -> None:
    assert set(PRESETS) == {"default", "genecis"}
    assert preset("genecis").sampler == "genecis"
    assert preset("genecis").kinds == ("relation",)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        axes = ["color"]
        [kinds]
        composite = 0.5
        relation = 2
        change_object = 0
        [filters]
        min_confidence = 0.7
        [balance]
        max_per_subject = 100
        """,
    )
    assert load(path) == dataclasses.replace(
        MiningConfig(),
        axes=("color",),
        kinds=("relation", "composite"),
        weights=(2.0, 0.5),
        min_confidence=0.7,
        max_per_subject=100,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("presets = 1", "unknown key 'presets'; known: sampler, axes, kinds, filters, balance"),
        ("[filters]\nmin_concretness = 4", "unknown key 'filters.min_concretness'; known: visible_only"),
        ("[kinds]\nrelations = 1", "unknown key 'kinds.relations'; known: relation"),
        ("[kinds]\nrelation = -1", "kinds.relation = -1: must be a number of at least 0"),
        ("[kinds]\nrelation = 0", "no kind has a weight above 0"),
        ("[filters]\nmin_confidence = 1.5", "filters.min_confidence = 1.5: must be a number from 0 to 1"),
        ("[filters]\nvisible_only = 1", "filters.visible_only = 1: must be true or false"),
        ("[balance]\nmax_per_target = 2.5", "balance.max_per_target = 2.5: must be a whole number"),
        ('axes = ["colour"]', "axes = 'colour': must be one of color"),
        ("filters = 3", "filters: must be a table"),
        ('sampler = "genecis"', "the genecis sampler makes no kind but relation"),
        ("kinds = [", "no TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


def test_a_kind_alone_keeps_its_weight() -> None:
    config = dataclasses.replace(MiningConfig(), weights=(3.0, 1.0, 1.0, 1.0, 1.0, 0.5))
    assert with_kinds(config, ("composite", "relation")).weights == (3.0, 0.5)
    assert with_kinds(config, KINDS) == config


def test_bad_configuration_is_bad_usage(tmp_path: Path) -> None:
    path = written(tmp_path, "[filters]\nmin_concretness = 4")
    done = facetmine("mine", "--output", tmp_path / "out", "--config", path)
    assert done.returncode == 2
    assert "min_concretness" in done.stderr
    assert "Traceback" not in done.stderr
    missing = facetmine("mine", "--output", tmp_path / "out", "--config", tmp_path / "none.toml")
    assert missing.returncode == 2
    assert "none.toml" in missing.stderr
