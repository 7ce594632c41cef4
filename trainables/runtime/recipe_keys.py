"""The keys of the configuration that a recipe reads for certain, found in its source.

Only what is read on every way through a part counts: nothing behind a condition, in the body of a
loop, or after a statement that may return or change the configuration. So a key that is named here
and that no configuration has is a mistake.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

PARTS = ("build", "data", "loss", "evaluate", "optimizer", "schedule", "augment", "draw")
"""The fields of a `Recipe`, in their order."""
OF_RECIPE = ("batch_size",)
OF_OPTIMIZER = ("optimizer", "lr")
"""What the default optimizer reads (`make_optimizer`)."""
DEEPEST = 3
"""Calls of functions of the same file that are followed, one in another."""
READERS = ("get", "items", "keys", "values", "copy")
"""Methods of a dictionary that leave it as it is."""
Function = ast.FunctionDef | ast.Lambda


@dataclass(frozen=True)
class Read:
    """A key, and where it is read: the line of the file and the part of the recipe."""

    key: str
    line: int
    part: str


def missing_key(tree: ast.Module, name: str, known: Container[str]) -> Read | None:
    """The first key that the recipe of that name reads and that is not known.

    None if there is none, or if there is no recipe of that name.
    """
    call = _recipe(tree, name)
    if call is None:
        return None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return next((read for read in _reads(call, functions) if read.key not in known), None)


def _recipe(tree: ast.Module, name: str) -> ast.Call | None:
    """The call in `name = Recipe(...)`."""
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = getattr(node, "value", None)
        if not any(isinstance(target, ast.Name) and target.id == name for target in targets):
            continue
        if isinstance(value, ast.Call) and _last_name(value.func) == "Recipe":
            return value
    return None


def _last_name(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _reads(call: ast.Call, functions: dict[str, ast.FunctionDef]) -> Iterator[Read]:
    given = dict(zip(PARTS, call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg}
    is_whole = all(word.arg for word in call.keywords)
    for key in OF_RECIPE:
        yield Read(key, call.lineno, "a Recipe")
    for key in OF_OPTIMIZER if is_whole and "optimizer" not in given else ():
        yield Read(key, call.lineno, "the default optimizer of a Recipe")
    for part in PARTS:
        value = given.get(part)
        function: Function | None = value if isinstance(value, ast.Lambda) else None
        if isinstance(value, ast.Name):
            function = functions.get(value.id)
        if function is not None:
            for key, line in _of_function(function, functions, DEEPEST):
                yield Read(key, line, f"`{part}`")


def _of_function(
    function: Function, functions: dict[str, ast.FunctionDef], depth: int
) -> Iterator[tuple[str, int]]:
    """The keys of its first argument that a function reads on every way, and where."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    if not arguments or depth == 0:
        return
    config = arguments[0].arg
    body = function.body if isinstance(function, ast.FunctionDef) else [ast.Expr(function.body)]
    for statement in body:
        for node in _evaluated(_first_parts(statement)):
            if isinstance(node, ast.Subscript) and _is(node.value, config):
                if isinstance(node.slice, ast.Constant) and isinstance(node.ctx, ast.Load):
                    yield str(node.slice.value), node.lineno
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = functions.get(node.func.id)
                if called is not None and node.args and _is(node.args[0], config):
                    yield from _of_function(called, functions, depth - 1)
        if isinstance(function, ast.FunctionDef) and _may_end(statement, config):
            return


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _first_parts(statement: ast.stmt) -> list[ast.AST]:
    """What is evaluated of a statement whatever happens in it."""
    match statement:
        case ast.If() | ast.While():
            return [statement.test]
        case ast.For():
            return [statement.iter]
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Return() | ast.Expr():
            return [statement]
    return []


def _evaluated(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The expressions in some others, without what depends on a condition or runs later."""
    for node in nodes:
        yield node
        match node:
            case ast.Lambda():
                continue
            case ast.IfExp():
                yield from _evaluated([node.test])
            case ast.BoolOp():
                yield from _evaluated(node.values[:1])
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                yield from _evaluated([node.generators[0].iter])
            case _:
                yield from _evaluated(ast.iter_child_nodes(node))


def _may_end(statement: ast.stmt, config: str) -> bool:
    """True if the function may end in a statement, or the configuration be another one after it."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Return | ast.Raise | ast.Delete):
            return True
        is_stored = isinstance(getattr(node, "ctx", None), ast.Store)
        if is_stored and (_is(node, config) or _is(getattr(node, "value", node), config)):
            return True
    # `fill_defaults(config)` and `config.setdefault(...)` are called for what they change.
    return isinstance(statement, ast.Expr) and any(
        isinstance(node, ast.Call) and _may_change(node, config) for node in ast.walk(statement)
    )


def _may_change(call: ast.Call, config: str) -> bool:
    if isinstance(call.func, ast.Attribute) and _is(call.func.value, config):
        return call.func.attr not in READERS
    return any(_is(argument, config) for argument in call.args)
