"""The verb that prints what makes a shell complete the words of raysweep."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from typing import Any

from raysweep.tune.cli.arguments import Verbs

TITLE = "the shell"

BASH = """\
# raysweep's completion for bash: {how}
_raysweep() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" verb="${{COMP_WORDS[1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{verbs}"
    elif [ "$COMP_CWORD" -eq 2 ] && [[ "$word" != -* ]]; then
        words="$(command ls "${{RAYSWEEP_STORAGE:-ray_results}}" 2>/dev/null)"
    else
        case "$verb" in
{cases}
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _raysweep raysweep
"""
BASH_CASE = "            {verb}) words={options} ;;"
ZSH = """\
#compdef raysweep
# raysweep's completion for zsh: {how}
_raysweep() {{
    local -a verbs
    verbs=(
{verbs}
    )
    if (( CURRENT == 2 )); then
        _describe 'verb' verbs
        return
    fi
    if (( CURRENT == 3 )) && [[ "$words[CURRENT]" != -* ]]; then
        compadd -- ${{RAYSWEEP_STORAGE:-ray_results}}/*(N/:t)
        _files
        return
    fi
    case "$words[2]" in
{cases}
    esac
    _files
}}
if [ "$funcstack[1]" = _raysweep ]; then
    _raysweep "$@"
else
    compdef _raysweep raysweep
fi
"""
ZSH_CASE = "        {verb}) compadd -- {options} ;;"
FISH_HEAD = """\
# raysweep's completion for fish: {how}
function __raysweep_runs
    set -l folder ray_results
    set -q RAYSWEEP_STORAGE; and set folder $RAYSWEEP_STORAGE
    command ls $folder 2>/dev/null
end
"""
HOW = {
    "bash": 'eval "$(raysweep completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(raysweep completion zsh)" in ~/.zshrc, below compinit',
    "fish": "raysweep completion fish > ~/.config/fish/completions/raysweep.fish",
}
"""How a shell reads it, by the name of the shell."""


def add(verbs: Verbs) -> None:
    complete = verbs.add_parser(
        "completion",
        help="what makes your shell complete verbs, options and runs",
        description="Print what makes a shell complete the words of raysweep.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    complete.add_argument("shell", choices=sorted(HOW), help="the name of the shell")
    lines = "\n".join(f"  {shell:<5} {how}" for shell, how in HOW.items())
    complete.epilog = f"examples:\n{lines}"
    complete.set_defaults(verb=print_completion)


def print_completion(options: argparse.Namespace) -> int:
    """`raysweep completion`."""
    from raysweep.tune.cli.app import listed_verbs, parser

    words = listed_verbs(parser())
    print(SHELLS[options.shell](words), end="")
    return 0


Words = dict[str, tuple[str, list[str]]]
"""What a verb is for, and its options, by its name."""


def _bash(words: Words) -> str:
    cases = "\n".join(
        BASH_CASE.format(verb=verb, options=shlex.quote(" ".join(options)))
        for verb, (_, options) in words.items()
    )
    return BASH.format(how=HOW["bash"], verbs=" ".join(words), cases=cases)


def _zsh(words: Words) -> str:
    verbs = "\n".join(
        f"        {shlex.quote(f'{verb}:{text}')}" for verb, (text, _) in words.items()
    )
    cases = "\n".join(
        ZSH_CASE.format(verb=verb, options=" ".join(options))
        for verb, (_, options) in words.items()
    )
    return ZSH.format(how=HOW["zsh"], verbs=verbs, cases=cases)


def _fish(words: Words) -> str:
    lines = [FISH_HEAD.format(how=HOW["fish"])]
    for verb, (text, options) in words.items():
        lines.append(
            f"complete -c raysweep -n __fish_use_subcommand -f -a {verb} -d {shlex.quote(text)}\n"
        )
        seen = f"-n '__fish_seen_subcommand_from {verb}'"
        lines.append(f"complete -c raysweep {seen} -a '(__raysweep_runs)'\n")
        lines += [
            f"complete -c raysweep {seen} -l {option.removeprefix('--')}\n"
            for option in options
            if option.startswith("--")
        ]
    return "".join(lines)


SHELLS: dict[str, Callable[[Words], Any]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
