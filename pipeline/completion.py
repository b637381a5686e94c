"""``facetmine completion``: a script with which a shell completes facetmine's subcommands, options and choices."""

import argparse

import shtab

from pipeline.query import quiet_broken_pipe

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = ("OUT", "FOLDER", "DIR", "RUN")
_FILES = ("FILE", "PATH", "IMAGE", "SOURCE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``facetmine completion``."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"the shell: {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> int:
    """Run ``facetmine completion``; returns the exit status."""
    from pipeline import options  # which imports this module, for its arguments

    with quiet_broken_pipe():
        print(script(options._parser(), args.shell))
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes a program's arguments in a shell, one of ``SHELLS``."""
    _mark_paths(parser)
    return str(shtab.complete(parser, shell=shell))


def _mark_paths(parser: argparse.ArgumentParser) -> None:
    """Tell which arguments are folders and which are files, by what they are called in the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                _mark_paths(subparser)
        elif action.choices is None and action.nargs != 0:
            called = str(action.metavar or action.dest.upper())
            for names, kind in ((_FOLDERS, shtab.DIRECTORY), (_FILES, shtab.FILE)):
                if any(name in called for name in names):
                    action.complete = kind  # type: ignore[attr-defined]
                    break
