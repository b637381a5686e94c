"""Batches on their way through a shuffle: by value between processes, by reference within one."""

import pickle
from collections.abc import Callable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam import coders
from hypothesis import given
from hypothesis import strategies as st

from pipeline.routing import Batch, batches_by_table, by_reference, join, split

CODER = coders.registry.get_coder(Batch)
SCHEMA = pa.schema([("number", pa.int64()), ("words", pa.list_(pa.string()))], metadata={"facetmine.table": "numbers"})


def table(rows: int) -> pa.Table:
    return pa.table({"number": range(rows), "words": [[str(row)] * (row % 3) for row in range(rows)]}, schema=SCHEMA)


def travelled(batch: Batch) -> Batch:
    return CODER.decode(CODER.encode(batch))


@pytest.mark.parametrize("how", [travelled, lambda batch: pickle.loads(pickle.dumps(batch))], ids=["coded", "pickled"])
def test_a_slice_travels_with_its_own_rows_only(how: Callable[[Batch], Batch]) -> None:
    whole = table(10_000)
    arrived = how(Batch(whole.slice(5_000, 3)))
    assert arrived.table.equals(whole.slice(5_000, 3), check_metadata=True)
    assert len(pickle.dumps(arrived)) < len(pickle.dumps(Batch(whole))) / 50


def test_by_reference_a_batch_is_not_copied() -> None:
    batch = Batch(table(10_000))
    with by_reference():
        ticket = CODER.encode(batch)
        assert len(ticket) < 20
        assert CODER.decode(ticket) is batch


def test_a_ticket_is_good_for_one_batch_once() -> None:
    with by_reference():
        first, second = CODER.encode(Batch(table(1))), CODER.encode(Batch(table(2)))
        assert [len(CODER.decode(ticket).table) for ticket in (second, first)] == [2, 1]
        with pytest.raises(KeyError):
            CODER.decode(first)


def test_batches_go_by_value_again_after_a_run_by_reference_that_failed() -> None:
    with pytest.raises(ZeroDivisionError), by_reference():
        raise ZeroDivisionError
    assert travelled(Batch(table(3))).table.equals(table(3))


@given(st.lists(st.integers(0, 70_000)))
def test_splitting_keeps_every_row_in_order(partitions: list[int]) -> None:
    rows = table(len(partitions))
    arrived = dict(split(rows, np.array(partitions, np.int64)))
    assert list(arrived) == sorted(set(partitions))
    for partition, batch in arrived.items():
        expected = [row for row, number in enumerate(partitions) if number == partition]
        assert batch.table["number"].to_pylist() == expected
    assert join(arrived.values(), SCHEMA).sort_by("number").equals(rows)


def test_joining_nothing_gives_an_empty_table() -> None:
    assert join([], SCHEMA).equals(SCHEMA.empty_table())
    assert join([Batch(pa.table({}))], SCHEMA).equals(SCHEMA.empty_table())


def test_batches_are_sorted_by_the_table_they_belong_to() -> None:
    other = pa.table({"letter": ["a"]}).replace_schema_metadata({"facetmine.table": "letters"})
    found = batches_by_table([Batch(other), Batch(pa.table({})), Batch(table(2)), Batch(table(1))])
    assert {name: [len(batch.table) for batch in batches] for name, batches in found.items()} == {
        "letters": [1],
        "numbers": [2, 1],
    }


def test_beam_groups_batches_with_this_coder() -> None:
    pairs = beam.typehints.Tuple[int, Batch]
    assert (
        coders.registry.get_coder(pairs)
        .get_impl()
        .decode(coders.registry.get_coder(pairs).get_impl().encode((7, Batch(table(2)))))[1]
        .table.equals(table(2))
    )
