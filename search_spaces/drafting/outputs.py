"""Where a program leaves its files: options that name a place, and names that it has written in.

Trials run at the same time, so each needs places of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from raysweep.search_spaces.drafting.interface import Interface, Option, plain_name
from raysweep.search_spaces.drafting.literals import called, calls, keyword, literal
from raysweep.search_spaces.drafting.parsers import free_words
from raysweep.search_spaces.drafting.program import Program

_FOLDERS = re.compile(
    r"(out(put)?_?(dir|folder|path|f)?|save_?(model_?|checkpoint_?)?(dir|path|folder)"
    r"|log(ging)?_?dir|results?_?(dir|path)?|exp(eriment)?_?dir|work_?dir|run_?dir"
    r"|default_root_dir|checkpoints?_?(model_?)?dir|ckpt_?dir|tensorboard_?dir)"
)
"""Options that name the folder in which a program leaves its files."""
_FILES = re.compile(r"save(_?(to|as|file|name|model|path))?|out(put)?_?(file|name)?|log_?file")
"""Options that name a file that a program writes, if their default is the name of one."""
_WRITTEN = re.compile(
    r"\b(path|file|folder|dir(ectory)?|where)\b.*"
    r"\b(sav(e|ed|ing)|output|writ(e|ten)|stored?|logs?)\b"
    r"|\b(save|write|store|output)\b.*\b(to|path|file|folder|dir(ectory)?)\b"
)
_READ = re.compile(
    r"\b(load|resume|read|input|pre-?trained|data(set)?|continue|start|initial)\w*\b"
)
"""Words of a help text: what is written there, or is read."""
_DATA = re.compile(r"(data|corpus|root|train|input)(_?(dir|root|path|folder|file))?|dataroot")
"""Options that name what a program reads."""
_ENDING = re.compile(r"\.[A-Za-z]\w{0,6}$")
_CHECKPOINT = re.compile(r"[\w./-]+\.(pt|pth|ckpt|tar|pth\.tar)")
_MODEL = re.compile(r"[\w.*=-]*[A-Za-z][\w.*=-]*\.(pt|pth|ckpt|tar|bin|safetensors|npz|joblib)")
_SAVES = ("save", "save_checkpoint", "save_file", "save_model", "dump", "savez")
"""What saves a model under a name."""
_WRITERS = {
    "save": 1,
    "save_image": 1,
    "copyfile": 1,
    "copy": 1,
    "makedirs": 0,
    "mkdir": 0,
    "savefig": 0,
    "to_csv": 0,
    "open": 0,
}
"""What writes files or makes folders, with the place of the path among the arguments."""


_OWNERS = {
    "save": {"torch"},
    "copy": {"shutil"},
    "copyfile": {"shutil", ""},
    "open": {""},
    "makedirs": {"os", ""},
}
"""Whose methods of these names write files."""


def outputs_of(interface: Interface, program: Program) -> list[Option]:
    """The options for which each trial gets a place of its own."""
    if interface.style == "none" or interface.own_folder:
        return []
    return [
        _with_slash(option, program)
        for option in interface.options
        if option.kind == "text" or (option.kind == "other" and option.default is None)
        if option.writable and not option.many and option.name not in interface.given
        if not option.choices and _is_output(option)
    ]


def _with_slash(option: Option, program: Program) -> Option:
    """The option with a default that ends with a slash, if the program puts a name behind it.

    That is `args.logging_dir + "best.pt"`.
    """
    name = re.escape(option.name.replace("-", "_"))
    joined = re.compile(rf"\.{name}\s*\+\s*f?[\"'][^/\"']")
    if not is_file(option) and any(joined.search(source.text) for source in program.sources):
        return replace(option, default=f"{option.default or '.'}".rstrip("/") + "/")
    return option


def _is_output(option: Option) -> bool:
    last = plain_name(option.name).rpartition(".")[2]
    if is_file(option):
        is_written = bool(_WRITTEN.search(option.help.lower()) or _FILES.fullmatch(last))
        return is_written and not _READ.search(option.help.lower())
    if _FOLDERS.fullmatch(last):
        return True
    has_place = isinstance(option.default, str) and option.default.strip("./") != ""
    return has_place and _is_said(option)


def _is_said(option: Option) -> bool:
    """True if the help says that the program leaves files there, and the default is a path."""
    text = option.help.lower()
    is_path = "/" in str(option.default) or plain_name(option.name).endswith(("dir", "folder"))
    return is_path and bool(_WRITTEN.search(text)) and not _READ.search(text)


def is_file(option: Option) -> bool:
    """True if the default is the name of a file."""
    return isinstance(option.default, str) and bool(_ENDING.search(option.default))


def placed(option: Option) -> str:
    """The place that a trial gives an option: its folder, or a file in it."""
    if is_file(option):
        return f"{{folder}}/{PurePosixPath(option.default).name}"
    if str(option.default).endswith("/"):
        return "{folder}/"  # the program may put the name of a file right behind it
    return "{folder}"


def shared(program: Program, interface: Interface) -> list[str]:
    """The files and folders that the program makes in its working folder, by names of its own."""
    if interface.folder or interface.own_folder:
        return []
    off = {
        plain_name(option.name)
        for option in interface.options
        if option.kind == "bool" and not interface.given.get(option.name, option.default)
    }
    told = {plain_name(option.name) for option in interface.options}
    # What lies in other folders is a library of the project's, with much that is not called.
    own = [source for source in program.sources if source.path.parent == program.path.parent]
    found = [path for source in own for path in _written(source.tree, {}, off, told)]
    if interface.config_file:
        own_places = filter(_is_own_place, interface.options)
        found += [str(option.default).removeprefix("./") for option in own_places]
    return list(dict.fromkeys(found))


def _is_own_place(option: Option) -> bool:
    """True if a configuration file has a relative path there that the program writes to."""
    is_relative = isinstance(option.default, str) and option.default[:1] not in ("", "/", "~")
    return is_relative and "://" not in str(option.default) and _is_output(option)


def _written(node: ast.AST, names: dict[str, str], off: set[str], told: set[str]) -> Iterator[str]:
    """The relative paths that calls write to, without those under a switch that is off.

    told: the names of options, which have what the program is told.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _mentions(child.test, off):
            for other in child.orelse:
                yield from _written(other, names, off, told)
            continue
        inner = names
        if isinstance(child, ast.FunctionDef):
            inner = names | _defaults(child)
        if isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name):
            name = child.targets[0].id
            names[name] = "" if name.lower() in told else _start(child.value, names)
        if isinstance(child, ast.Call):
            path = _path(child, inner)
            if path and not path.startswith(("/", "~", ".", "http")):
                yield path
        yield from _written(child, inner, off, told)


def _mentions(test: ast.expr, names: set[str]) -> bool:
    """True for `args.save_model` and `args.a and ...`, but not for `not args.a`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_mentions(part, names) for part in test.values)
    return isinstance(test, ast.Attribute) and test.attr in names


def _defaults(function: ast.FunctionDef) -> dict[str, str]:
    """The texts that parameters have by default."""
    arguments = function.args.args
    pairs = zip(arguments[::-1], function.args.defaults[::-1], strict=False)
    return {
        argument.arg: text for argument, node in pairs if isinstance(text := literal(node), str)
    }


def _path(call: ast.Call, names: dict[str, str]) -> str:
    """The path that a call writes to, as far as it is written out; "" if it is no such call."""
    name = called(call)
    if name not in _WRITERS or _owner(call) not in _OWNERS.get(name, {_owner(call)}):
        return ""
    if name == "open":
        mode = literal(keyword(call, "mode") or (call.args[1] if len(call.args) > 1 else None))
        if not isinstance(mode, str) or not set(mode) & set("wax"):
            return ""
    place = _WRITERS[name]
    if name == "mkdir" and isinstance(call.func, ast.Attribute) and not call.args:
        owner = call.func.value
        if isinstance(owner, ast.Call) and called(owner) == "Path" and owner.args:
            return _start(owner.args[0], names)
        return ""
    return _start(call.args[place], names) if len(call.args) > place else ""


def _owner(call: ast.Call) -> str:
    """What a method is called of, such as `torch`; "" for a function."""
    if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        return call.func.value.id
    return ""


def _start(node: ast.expr, names: dict[str, str]) -> str:
    """The text with which a path begins: that before the first value that is put in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.BinOp):
        return re.split("%", _start(node.left, names))[0]
    if isinstance(node, ast.JoinedStr):
        return _start(node.values[0], names) if node.values else ""
    if isinstance(node, ast.Call) and called(node) == "format":
        owner = getattr(node.func, "value", None)
        return _start(owner, names).partition("{")[0] if owner is not None else ""
    if isinstance(node, ast.Call) and called(node) == "join" and node.args:
        return _start(node.args[0], names)
    return ""


def saved_name(program: Program) -> str:
    """The name of the checkpoints that the program's source shows, best that of the last one."""
    found = [
        PurePosixPath(node.value).name
        for source in program.sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if _CHECKPOINT.fullmatch(node.value)
    ]
    for word in ("last", "latest", "checkpoint", "ckpt"):
        named = [name for name in found if word in name and "best" not in name]
        if named:
            return named[0]
    if "CheckpointSaver(" in program.main.text:
        return "last.pth.tar"  # timm's
    return ""


def model_names(program: Program) -> list[str]:
    """The names of the models that the program saves, with `*` for what is put in: `net_*.pth`.

    Those of the best model alone, if some are called so.
    """
    found = []
    for source in program.sources:
        if source.path.parent != program.path.parent:
            continue
        for call in calls(source.tree, *_SAVES):
            for node in ast.walk(call):
                name = PurePosixPath(_starred_text(node)).name
                if _MODEL.fullmatch(name):
                    found.append(name)
    best = [name for name in found if "best" in name.lower()]
    return list(dict.fromkeys(best or found))


def _starred_text(node: ast.AST) -> str:
    """A text with `*` for each value that is put into it; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[-+ #0]*\d*\.?\d*[a-z]|\{[^{}]*\}", "*", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_starred_text(part) or "*" for part in node.values)
    return ""


def reads_from_folder(program: Program, interface: Interface, written: list[str]) -> bool:
    """True if the program may need paths that start in its own folder.

    These are words and defaults that name something there, and texts of its source that do or that
    begin with a dot; and a folder that it writes to without making it.
    """
    told = [word.rpartition("=")[2] for word in interface.words]
    told += [str(option.default) for option in interface.options if option.default]
    template = interface.config_file.get("template", "")  # each trial is told its own
    if any(_is_data(option, interface) for option in interface.options):
        return True
    texts = [
        node.value
        for source in program.sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for source in program.sources[:1]:
        for call in calls(source.tree, "load", "read_csv", "loadtxt"):
            start = _start(call.args[0], {}) if call.args else ""
            if start and start not in written:
                return True
    made = {path for path in written if "/" not in path}
    if any("/" in path and path.partition("/")[0] not in made for path in written):
        return True
    read = [text for text in [*told, *texts] if text.removeprefix("./") not in written]
    read = [text for text in read if not template or str(program.folder / text) != template]
    if any(text.startswith(("./", "../")) for text in read):
        return True
    return any(_exists(program, text) for text in read)


def _is_data(option: Option, interface: Interface) -> bool:
    """True for a data folder that is found from the working folder, unless it is said otherwise."""
    last = plain_name(option.name or option.label).rpartition(".")[2]
    if option.kind != "text" or not option.default or not _DATA.fullmatch(last):
        return False
    value = str(interface.given.get(option.name, option.default))
    is_said = not option.name and free_words(interface, interface.words) > interface.commands
    return not value.startswith(("/", "~")) and not is_said


def _exists(program: Program, text: str) -> bool:
    """True for the path of something in the program's folder, but not for the names of modules."""
    if not text or len(text) > 200 or "\n" in text or "\0" in text or not text.strip("./ "):
        return False
    try:
        return (program.folder / text).exists() and not text.startswith("/")
    except OSError:
        return False
