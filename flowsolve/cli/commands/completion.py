"""completion of commands, options and names for bash, zsh or fish"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

SHELLS = ("bash", "zsh", "fish")
NAMED = {"solver": "solvers", "solvers": "solvers", "ways": "solvers", "problem": "problems",
         "spacing": "spacings", "grids": "spacings", "grid": "spacings"}  # fmt: skip
BASH = """_flowsolve() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} last= i words
    COMPREPLY=()
    for ((i = COMP_CWORD - 1; i > 1; i--)); do
        [[ ${{COMP_WORDS[i]}} == --* ]] && last=${{COMP_WORDS[i]}} && break
    done
    if [[ $COMP_CWORD -eq 1 ]]; then
        words={commands}
    elif [[ $cur == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{options}
        esac
    else
        case ${{COMP_WORDS[1]}}:$last in
{values}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _flowsolve flowsolve
"""


def add(c: argparse.ArgumentParser) -> None:
    c.add_argument("shell", choices=SHELLS,
                   help="in ~/.bashrc: eval \"$(flowsolve completion bash)\"; zsh likewise in ~/.zshrc; fish: "
                        "flowsolve completion fish | source")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from flowsolve.cli import commands
    from flowsolve.cli.parser import parser

    top = parser(commands.names())
    found: dict[str, argparse.ArgumentParser] = next(
        a.choices for a in top._actions if isinstance(a, argparse._SubParsersAction)
    )
    names = _names()
    if args.shell == "fish":
        print("\n".join(_fish(found, names)))
        return 0
    before = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n"
    print((before if args.shell == "zsh" else "") + _bash(found, names), end="")
    return 0


def _names() -> dict[str, list[str]]:
    from flowsolve.cli.spacings import SPACINGS, SUBSEQUENCES
    from flowsolve.problems.catalogue import PROBLEMS
    from flowsolve.solver.plugins import provided

    return {
        "solvers": sorted(name.lower() for name in provided()),
        "problems": [*PROBLEMS],
        "spacings": [f.__name__ for f in (*SPACINGS, *SUBSEQUENCES)],
    }


def _values(action: argparse.Action, names: dict[str, list[str]]) -> list[str]:
    """What can stand for it; [] for what is not known by name."""
    if action.choices:
        return [str(choice) for choice in action.choices]
    return names.get(NAMED.get(action.dest, ""), [])


def _bash(found: dict[str, argparse.ArgumentParser], names: dict[str, list[str]]) -> str:
    import shlex

    options, values = [], []
    for name, command in found.items():
        flags = [flag for action in command._actions for flag in action.option_strings]
        options.append(f"        {name}) words={shlex.quote(' '.join(flags))} ;;")
        for action in command._actions:
            last = "" if not action.option_strings else action.option_strings[-1]
            if takes := _values(action, names):
                values.append(f"        {name}:{last}) words={shlex.quote(' '.join(takes))} ;;")
    return BASH.format(
        commands=shlex.quote(" ".join(found)), options="\n".join(options), values="\n".join(values)
    )


def _fish(found: dict[str, Any], names: dict[str, list[str]]) -> Iterator[str]:
    import shlex

    start = "complete -c flowsolve"
    for name, command in found.items():
        told = shlex.quote(command.description or "")
        yield f"{start} -f -n __fish_use_subcommand -a {name} -d {told}"
        here = f"{start} -n '__fish_seen_subcommand_from {name}'"
        for action in command._actions:
            words = shlex.quote(" ".join(_values(action, names)))
            if not action.option_strings:
                yield f"{here} -a {words}"
                continue
            value = "" if action.nargs == 0 else f" -r -a {words}"
            yield f"{here} -l {action.option_strings[-1][2:]}{value}"
