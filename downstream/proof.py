"""The proof on a toy world: models side by side in galleries of GeneCIS's manner, of pictures nobody trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from downstream import toy_galleries
from downstream.evaluation import Answered, answer, encoders_of
from downstream.features import embed_pictures
from downstream.genecis import CUTOFFS, TASKS
from downstream.retrieval import Features
from downstream.retrievers import Retriever
from downstream.tasks import Task
from images import ImageStore


@dataclass(frozen=True)
class Unseen:
    """The four tasks over the pictures of a toy world.

    Attributes:
        tasks: in GeneCIS's order.
        features: of all pictures, by the encoder's fingerprint and by name.
    """

    tasks: Sequence[Task]
    features: Mapping[str, Mapping[str, Features]]

    def answered(self, models: Sequence[Retriever]) -> list[Answered]:
        """What the models make of the tasks; their encoders are those that the pictures were encoded with."""
        return [answer(task, models, self.features) for task in self.tasks]


def unseen(world: str | Path, models: Sequence[Retriever], queries: int, seed: int, index: Path) -> Unseen:
    """Galleries over a toy world, with its pictures encoded once for each encoder of the models.

    Args:
        world: folder that ``facetmine toyworld`` wrote.
        queries: of each task.
        seed: of the choice of queries and galleries.
        index: file that keeps where the pictures are.

    Raises:
        TaskError: the folder is no toy world, or has too few pictures for so many queries.
    """
    truth = toy_galleries.Truth.read(world)
    store = ImageStore.open([str(Path(world) / "shards")], index)
    tasks = []
    for task in TASKS:
        made = toy_galleries.galleries(truth, task, queries, seed)
        tasks.append(Task(task, [gallery.query for gallery in made], store, CUTOFFS))
    features = {}
    for encoder in encoders_of(models):
        names, vectors, _ = embed_pictures(store, truth.ids, encoder)
        features[encoder.fingerprint] = dict(zip(names, vectors, strict=True))
    return Unseen(tasks, features)
