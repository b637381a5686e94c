"""What consumes shards: loader, Combiner, trainer, evaluator. It knows the files on disk and their schemas only."""
