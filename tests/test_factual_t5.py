"""FACTUAL's notation read back, and its models as a parser, on a small model with random weights."""

import csv
import importlib.util
from pathlib import Path

import pytest
from commands import ROOT
from hypothesis import given
from hypothesis import strategies as st

import parsers
from parsers import Entity, Relation, SceneGraph
from parsers.factual_t5 import MODEL_VARIABLE, FactualT5Parser
from parsers.notation import read_facts, read_graph

FACTUAL = ROOT.parent / "shared" / "data" / "factual" / "dev.csv"

needs_transformers = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("torch", "transformers"))), reason="the extra t5 is not installed"
)


RIDE = SceneGraph((Entity("man", "man"), Entity("horse", "horse")), (Relation(0, "ride", 1),))


@pytest.mark.parametrize(
    ("notation", "graph"),
    [
        ("", SceneGraph()),
        ("( tree )", SceneGraph((Entity("tree", "tree"),))),
        (
            "( stove , is , white ) , ( stove , in , kitchen )",
            SceneGraph((Entity("stove", "stove", ("white",)), Entity("kitchen", "kitchen")), (Relation(0, "in", 1),)),
        ),
        ("( dog , is , 2 ) , ( dog , is , black )", SceneGraph((Entity("dog", "dog", ("black",), "2"),))),
        (
            "( tree , next to , tree )",
            SceneGraph((Entity("tree", "tree"), Entity("tree", "tree")), (Relation(0, "next to", 1),)),
        ),
        ("( Man , v:ride , horse:1 )", RIDE),
        ("(man,ride,horse),(man", RIDE),
        ("( man , in front , of , house )",
         SceneGraph((Entity("man", "man"), Entity("house", "house")), (Relation(0, "in front of", 1),))),
        ("a man on a horse", SceneGraph()),
        ("( man , ride ) , ( , , )", SceneGraph()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_notation_is_read(notation: str, graph: SceneGraph) -> None:
    assert read_graph(notation) == graph


def test_the_words_of_a_thing_are_looked_up_in_the_caption() -> None:
    (entity,) = read_graph("( dog , is , black )", "Two black Dogs").entities
    assert entity.text == "Dogs"


NAMES = st.sampled_from(["man", "tennis court", "t-shirt", "tree", "person 's dog"])
VALUES = st.sampled_from(["red", "dark blue", "2", "black-and-white"])
FACTS = st.one_of(
    st.tuples(NAMES),
    st.tuples(NAMES, st.just("is"), VALUES),
    st.tuples(NAMES, st.sampled_from(["ride", "in front of"]), NAMES),
)


@given(st.lists(FACTS, max_size=8, unique=True))
def test_what_is_read_is_written_again(facts: list[tuple[str, ...]]) -> None:
    notation = " , ".join(f"( {' , '.join(fact)} )" for fact in facts)
    assert read_facts(notation) == facts
    written = read_graph(notation).to_factual()
    in_facts = {name for fact in facts if len(fact) == 3 for name in (fact[0], *fact[2:][: fact[1] != "is"])}
    assert set(read_facts(written)) == {fact for fact in facts if len(fact) == 3 or fact[0] not in in_facts}
    assert set(read_facts(read_graph(written).to_factual())) == set(read_facts(written))


@pytest.mark.skipif(not FACTUAL.exists(), reason="FACTUAL is not beside this repository")
def test_all_graphs_of_factual_are_read() -> None:
    with FACTUAL.open(encoding="utf-8", newline="") as file:
        notations = [row["scene_graph"].lower() for row in csv.DictReader(file)]
    for notation in notations:
        relations = {fact for fact in read_facts(notation) if len(fact) == 3}
        assert {fact for fact in read_facts(read_graph(notation).to_factual()) if len(fact) == 3} == relations


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 with random weights, and a tokenizer of a few words, as transformers saves them."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("t5")
    words = [
        "<pad>",
        "</s>",
        "<unk>",
        "(",
        ")",
        ",",
        "is",
        "man",
        "horse",
        "ride",
        "red",
        "Generate",
        "Scene",
        "Graph:",
    ]
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    configuration = transformers.T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    transformers.T5ForConditionalGeneration(configuration).save_pretrained(folder)
    return folder


@needs_transformers
def test_a_saved_model_parses_captions_in_order(saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, str(saved_model))
    parser = parsers.load("factual-t5")
    captions = ["man ride horse", "", "red man " * 40, "stock photo", "horse"] * 10
    graphs = parser.parse(captions)
    assert len(graphs) == len(captions)
    assert graphs[:5] == graphs[5:10]
    assert not any(graphs[1::5]) and not any(graphs[3::5])  # noqa: PT018
    assert parser.parse([]) == []


@needs_transformers
def test_what_the_model_writes_becomes_a_graph(saved_model: Path) -> None:
    """The small model is taught one sentence, and says it."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(saved_model)
    network = transformers.T5ForConditionalGeneration.from_pretrained(saved_model)
    asked = tokenizer("Generate Scene Graph: red man ride horse", return_tensors="pt")
    answer = tokenizer("( man , ride , horse ) , ( man , is , red )", return_tensors="pt").input_ids
    torch.manual_seed(0)
    network.eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(300):
        loss = network(input_ids=asked.input_ids, labels=answer).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    taught = saved_model.parent / "taught"
    network.save_pretrained(taught)
    tokenizer.save_pretrained(taught)
    (graph,) = FactualT5Parser(taught).parse(["red man ride horse"])
    assert graph.to_factual() == "( man , ride , horse ) , ( man , is , red )"


@needs_transformers
def test_a_model_that_cannot_be_had_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RuntimeError, match=r"'.*nothing-here'.*cannot be loaded.*FACETMINE_T5_MODEL") as raised:
        FactualT5Parser(tmp_path / "nothing-here")
    assert "\n" not in str(raised.value)
