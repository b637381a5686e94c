"""The native Spark engine: the stages' own functions in Spark tasks, without Beam's runners in between.

A stage is written down once, as a Beam pipeline of few kinds of steps (pipeline/routing.py, pipeline/parts.py). Here
the pipeline is not run: its steps are read off, in their order, and Spark is given the same functions. What lies
between two shuffles is one ``mapInArrow``; a shuffle is ``repartitionById``, so that the rows of part 7 are task 7's,
and a part without rows has its task too. A Spark row is a batch of many of ours, an Arrow stream in a binary column.

Spark reads and writes no tables here. A part of a table is one file of the output folder, whole or absent, with its
receipt, and Spark's own sources know neither.

Counters come from the receipts after a pipeline has ended, so a task that ran twice counts once.
"""

import contextlib
import os
import pickle
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.execution import MetricsContainer
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory

from pipeline import shipping
from pipeline.parts import PartDoFn, count
from pipeline.routing import Batch, GroupParts, Route

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "part int, data binary"
ROWS_PER_BATCH = 1 << 17
"""A batch of more rows travels in several pieces, because Spark holds a row whole, and more than once."""

_BATCH_BYTES = 16 << 20
_SETTINGS = {
    "spark.sql.adaptive.enabled": "false",  # it would join small parts, and a part is a task
    "spark.sql.execution.arrow.maxRecordsPerBatch": "256",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2 * _BATCH_BYTES),
}
_DEFAULTS = {"spark.driver.memory": "2g", "spark.ui.showConsoleProgress": "false"}


class SparkError(Exception):
    """Spark cannot be started as asked; the message says why and what to do."""


class UntranslatableError(Exception):
    """A pipeline has a step that this engine does not know."""


@dataclass(frozen=True)
class SparkOptions:
    """What the command line says of Spark.

    Attributes:
        master: master URL, as ``local[2]`` or ``spark://host:7077``; None takes spark-submit's, or all local cores.
        archive: what ``facetmine pack`` has built, for executors without facetmine's dependencies.
        conf: settings, as ``spark.executor.memory`` and ``4g``.
    """

    master: str | None = None
    archive: str | None = None
    conf: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def session(options: SparkOptions, *, verbose: bool = False) -> "Iterator[SparkSession]":
    """A Spark session for a whole job; what it has started ends with the block.

    Args:
        verbose: Spark's own log goes to stderr.

    Raises:
        SparkError: pyspark or Java is not there, or no cluster answers.
    """
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.java_gateway import launch_gateway
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkError(f"--engine spark needs the spark extra ({error}): pip install 'facetmine[spark]'") from None
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    conf = SparkConf()
    for name, value in (*_DEFAULTS.items(), *options.conf):
        conf.set(name, value)
    conf.setAppName("facetmine")
    if options.master or not submitted:
        conf.setMaster(options.master or "local[*]")
    with contextlib.ExitStack() as stack:
        if not conf.get("spark.master", "local").startswith("local["):
            _ship(conf, stack.enter_context(shipping.package()), options.archive)
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        log = stack.enter_context(tempfile.TemporaryFile())
        handlers = _signal_handlers()
        try:
            gateway = None if submitted else launch_gateway(
                conf, {} if verbose else {"stdout": log, "stderr": log}
            )  # fmt: skip
            context = SparkContext(conf=conf, gateway=gateway)
        except Exception as error:  # Py4J's, Spark's or Java's, as it happens
            log.seek(0)
            said = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
            reason = str(error).strip().splitlines()[0] if isinstance(error, PySparkException) or not said else said[-1]
            raise SparkError(
                f"Spark does not start: {reason}. It needs Java 17 or newer, and a master that answers (--spark-master)"
            ) from None
        finally:
            _restore(handlers)  # Spark's own handler of Ctrl-C would take the place of ours
        stack.callback(_stop, context, gateway)
        if not verbose:
            context.setLogLevel("OFF")  # a failure is told once, by us
        spark = SparkSession(context)
        for name, value in _SETTINGS.items():
            spark.conf.set(name, value)
        yield spark


def run(spark: "SparkSession", label: str, build: Callable[[beam.Pipeline], object]) -> Counter[str]:
    """Do what a pipeline would do.

    Args:
        label: shown in Spark's UI, with the steps.
        build: applies the transforms to a pipeline.

    Returns:
        facetmine's counters, as Beam would have counted them.

    Raises:
        UntranslatableError: a step of the pipeline is of an unknown kind.
    """
    plan = translate(build)
    frame = _frame(spark, plan)
    spark.sparkContext.setJobGroup(label, f"{label}: {' > '.join(plan.labels)}", interruptOnCancel=True)
    try:
        frame.collect()
    except BaseException:
        with contextlib.suppress(Exception):
            spark.sparkContext.cancelJobGroup(label)
        raise
    return _counted(plan)


@dataclass
class Shuffle:
    """Elements to their parts, or, where there are none, spread evenly."""

    parts: int | None


@dataclass
class Plan:
    """A pipeline as Spark runs it.

    Attributes:
        source: the elements that it begins with.
        steps: functions and shuffles, in their order.
        counts: what the driver does afterwards to count, each with the numbers of the elements.
    """

    source: Sequence[Any] = ()
    steps: "list[beam.DoFn | Shuffle]" = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    counts: list[tuple[Callable[[int], None], Sequence[int]]] = field(default_factory=list)


def translate(build: Callable[[beam.Pipeline], object]) -> Plan:
    """The plan of what ``build`` applies to a pipeline. Raises UntranslatableError."""
    pipeline = beam.Pipeline(runner="DirectRunner")  # never run
    build(pipeline)
    return read_off(pipeline)


def read_off(pipeline: beam.Pipeline) -> Plan:
    """The plan of a pipeline that was built. Raises UntranslatableError."""
    reader = _Reader()
    pipeline.visit(reader)
    return reader.plan


class _Reader(PipelineVisitor):
    """Reads a chain of the steps that facetmine is made of."""

    def __init__(self) -> None:
        self.plan = Plan()
        self._inside: AppliedPTransform | None = None
        self._last: Any = None
        self._numbers: Sequence[int] = ()

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if self._inside is None and self._step(node):
            self._inside = node

    def leave_composite_transform(self, node: AppliedPTransform) -> None:
        if self._inside is node:
            self._inside = None

    def visit_transform(self, node: AppliedPTransform) -> None:
        if self._inside is None and not self._step(node):
            raise UntranslatableError(f"the step {node.full_label} is of no kind that the native Spark engine knows")

    def _step(self, node: AppliedPTransform) -> bool:
        from apache_beam.ml.inference.base import RunInference

        transform, plan = node.transform, self.plan
        if isinstance(transform, beam.Create):
            plan.source = list(transform.values)
            self._numbers = [_number(element) for element in plan.source]
        elif isinstance(transform, beam.Reshuffle):
            plan.steps.append(Shuffle(None))
        elif isinstance(transform, GroupParts):
            plan.steps.append(Shuffle(transform.partitions))
            self._numbers = range(transform.partitions)
        elif isinstance(transform, RunInference):
            plan.steps.append(_Inference(transform._model_handler))
        elif isinstance(transform, beam.ParDo):
            plan.steps.append(transform.fn)
            if isinstance(transform.fn, PartDoFn):
                plan.counts.append((_counter(transform.fn), self._numbers))
        elif isinstance(transform, Route):
            plan.steps.append(transform.work)
            plan.counts.append((transform.counted, self._numbers))
        else:
            return False
        if self._last is not None and self._last not in node.inputs:
            raise UntranslatableError(f"the step {node.full_label} does not follow the one before it")
        (self._last,) = node.outputs.values()
        plan.labels.append(node.full_label.rpartition("/")[2])
        return True


class _Inference(beam.DoFn):
    """What RunInference does with a handler, one element, which is a batch, at a time."""

    def __init__(self, handler: Any) -> None:
        super().__init__()
        self._handler = handler

    def start_bundle(self) -> None:
        self._model = self._handler.load_model()

    def process(self, batch: Any) -> Iterable[Any]:
        return self._handler.run_inference(batch, self._model)


def _frame(spark: "SparkSession", plan: Plan) -> "DataFrame":
    """The plan as Spark's, lazily."""
    source = pa.table(
        {"part": pa.array(range(len(plan.source)), pa.int32()), "data": [_pickled(item) for item in plan.source]}
    )
    frame = spark.createDataFrame(source, SCHEMA)
    parts, grouped = max(len(plan.source), 1), False
    frame = frame.repartitionById(parts, "part")  # one element a task
    work: list[beam.DoFn] = []
    moved = False
    for step in plan.steps:
        if not isinstance(step, Shuffle):
            work.append(step)
            moved = True
            continue
        if work:
            frame = frame.mapInArrow(_Task(tuple(work), grouped), SCHEMA)
            work, grouped = [], False
        if step.parts is not None:
            frame, grouped = frame.repartitionById(step.parts, "part"), True
        elif moved:
            frame, grouped = frame.repartition(2 * parts), False
    return frame.mapInArrow(_Task(tuple(work), grouped), SCHEMA)


@dataclass(frozen=True)
class _Task:
    """Steps between two shuffles, on the elements of one Spark task.

    Attributes:
        grouped: the elements are the batches of one part, whose number is the task's.
    """

    steps: tuple[beam.DoFn, ...]
    grouped: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        elements: Iterator[Any] = (_decoded(row) for batch in batches for row in batch.column(1))
        if self.grouped:
            from pyspark import TaskContext

            context = TaskContext.get()
            assert context is not None
            elements = iter([(context.partitionId(), elements)])
        for step in self.steps:
            elements = _applied(step, elements)
        return _encoded(elements)


def _applied(step: beam.DoFn, elements: Iterator[Any]) -> Iterator[Any]:
    """The step as Beam would run it in one bundle."""
    step.setup()
    step.start_bundle()
    for element in elements:
        yield from step.process(element) or ()
    for late in step.finish_bundle() or ():
        yield late.value
    step.teardown()


def _encoded(elements: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    parts: list[int] = []
    data: list[bytes] = []
    size = 0
    for element in elements:
        for part, content in _rows(element):
            parts.append(part)
            data.append(content)
            size += len(content)
        if size >= _BATCH_BYTES:
            yield _record_batch(parts, data)
            parts, data, size = [], [], 0
    yield _record_batch(parts, data)


def _rows(element: Any) -> Iterator[tuple[int, bytes]]:
    if not (isinstance(element, tuple) and len(element) == 2 and isinstance(element[1], Batch)):
        yield 0, _pickled(element)
        return
    part, table = element[0], element[1].table
    for start in range(0, max(table.num_rows, 1), ROWS_PER_BATCH):
        yield part, b"s" + Batch(table.slice(start, ROWS_PER_BATCH)).to_stream()


def _record_batch(parts: list[int], data: list[bytes]) -> pa.RecordBatch:
    return pa.record_batch({"part": pa.array(parts, pa.int32()), "data": pa.array(data, pa.binary())})


def _pickled(element: Any) -> bytes:
    from pyspark import cloudpickle

    return b"p" + cloudpickle.dumps(element)


def _decoded(row: pa.BinaryScalar) -> Any:
    content = row.as_buffer()
    if content.slice(0, 1).to_pybytes() == b"s":
        return Batch.from_stream(content.slice(1))
    return pickle.loads(content.slice(1))


def _number(element: Any) -> int:
    return int(element[0] if isinstance(element, tuple) else element)


def _counter(work: PartDoFn) -> Callable[[int], None]:
    def counted(part: int) -> None:
        receipt = work.store.receipt(work.step, part)
        if receipt is not None:
            count(work.step, receipt)

    return counted


def _counted(plan: Plan) -> Counter[str]:
    """facetmine's counters of a plan that is done: its own code counts, into a container of Beam's in this process."""
    container = MetricsContainer("spark")
    sampler = statesampler.StateSampler("spark", CounterFactory())
    before = statesampler.get_current_tracker()
    statesampler.set_current_tracker(sampler)
    try:
        with sampler.scoped_state("spark", "count", metrics_container=container):
            for counted, numbers in plan.counts:
                for number in numbers:
                    counted(number)
    finally:
        statesampler.set_current_tracker(before)
    found: Counter[str] = Counter()
    for key, value in container.get_cumulative().counters.items():
        found[key.metric.name] += int(value)
    return found


def _ship(conf: Any, wheel: Path, archive: str | None) -> None:
    """Have executors unpack the facetmine that is running, and with an archive its dependencies, before they start."""
    archives = [conf.get("spark.archives", ""), f"{_as_zip(wheel)}#facetmine-source"]
    if archive:
        archives.append(f"{archive}#facetmine-environment")
        os.environ["PYSPARK_PYTHON"] = "./facetmine-environment/bin/python"
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    conf.set("spark.archives", ",".join(filter(None, archives)))
    path = conf.get("spark.executorEnv.PYTHONPATH", "")
    conf.set("spark.executorEnv.PYTHONPATH", ":".join(filter(None, ["facetmine-source", path])))


def _as_zip(wheel: Path) -> Path:
    return wheel.rename(wheel.with_suffix(".zip"))  # Spark unpacks what is called so


def _stop(context: Any, gateway: Any) -> None:
    with contextlib.suppress(Exception):
        context.stop()
    if gateway is not None:
        with contextlib.suppress(Exception):
            gateway.shutdown()
        gateway.proc.stdin.close()  # which ends Java
        gateway.proc.wait(timeout=10)
        from pyspark import SparkContext

        SparkContext._gateway = SparkContext._jvm = None


def _signal_handlers() -> list[tuple[int, Any]]:
    import signal

    return [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]


def _restore(handlers: list[tuple[int, Any]]) -> None:
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers:
            signal.signal(number, handler)
