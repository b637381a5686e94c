"""The program of the Flex Template: starts a Dataflow job whose one step is the driver of ``facetmine run``.

A Flex Template's program builds one pipeline, hands it in and exits. A run of facetmine is several pipelines, and what
the later ones do depends on what the earlier ones found, so somebody must stay and drive. That is a worker of the job
that this program starts: it runs the command, which hands in a job for each stage and waits for it. Where that worker
is lost, Dataflow starts the step again, and the command goes on where it was.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

PARAMETERS = json.loads(Path(__file__).with_name("metadata.json").read_text())["parameters"]
OF_THIS_JOB = ("job_name", "template_location", "dataflow_job_file")
"""Beam's options that are not passed on to the jobs of the stages."""


def main(arguments: Sequence[str]) -> None:
    """Hand in the driver's job; does not wait for it.

    Args:
        arguments: ``--name=value``, the template's parameters and Beam's options.
    """
    command, beam_options = split_arguments(arguments)
    pipeline = beam.Pipeline(options=PipelineOptions(beam_options))
    _ = pipeline | beam.Create([command], reshuffle=False) | "Drive" >> beam.Map(drive)
    pipeline.run()


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command line of ``facetmine run``, and Beam's options for the driver's job.

    Raises:
        ValueError: an argument is not ``--name=value``.
    """
    switches = {entry["name"] for entry in PARAMETERS if entry["regexes"] == ["^(true|false)$"]}
    lists = {entry["name"] for entry in PARAMETERS if "several with spaces between" in entry["helpText"]}
    command, beam_options = ["run"], []
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        option = f"--{name.replace('_', '-')}"
        if name not in {entry["name"] for entry in PARAMETERS}:
            beam_options.append(argument)
            if name not in OF_THIS_JOB:
                command.append(argument)
        elif not equals:
            raise ValueError(f"{argument} is not --name=value")
        elif name in switches:
            command += [option] * (value == "true")
        else:
            command += [option, *(value.split() if name in lists else [value])]
    return command, beam_options


def drive(command: Sequence[str]) -> str:
    """Run facetmine to its end; gives what it printed.

    Raises:
        RuntimeError: it failed; the message is its last line.
    """
    done = subprocess.run([sys.executable, "-m", "beam_runner", *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
