"""The keys of the `script:` section: how a script is called, and how it is continued."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from raysweep.search_spaces.file.metric_spec import listed
from raysweep.search_spaces.file.param_specs import STRICT

Options = Literal["--name=value", "--name value", "name=value", "none"]
CONFIG_FORMATS = (".yaml", ".yml", ".json", ".toml")
"""The endings of the files that a configuration can be written as."""


def option_name(text: str) -> str:
    """Raise ValueError if an option cannot be called so."""
    if not re.fullmatch(r"[^\s=-][^\s=]*", text):
        raise ValueError(
            f"expected the name of an option without dashes before it, spaces or '=', got '{text}'"
        )
    return text


def words(value: Any) -> Any:
    """The words of a command: a text is divided as a shell divides it, a list is taken as it is.

    Anything else is left to the model, which refuses it.
    """
    if isinstance(value, list):
        return [str(word) if type(word) in (int, float) else word for word in value]
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"'{value}' is no command: {error}") from None


def variables(given: Any) -> Any:
    """Environment variables as text. Raises ValueError for a name that none can have."""
    if not isinstance(given, Mapping):
        return given
    for name in given:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"'{name}' is no name of an environment variable")
    if "CUDA_VISIBLE_DEVICES" in given:
        raise ValueError(
            "raysweep itself says which GPUs a trial sees; resources.gpu says how many"
        )
    return {name: _variable(value) for name, value in given.items()}


def _variable(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def file_name(text: str) -> str:
    """Raise ValueError if a file cannot be called so, or would lie outside of its folder."""
    path = PurePosixPath(text)
    if not path.name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"expected the name of a file in the trial's folder, got '{text}'")
    return text


OptionName = Annotated[str, AfterValidator(option_name)]
Words = Annotated[
    list[str],
    BeforeValidator(words, json_schema_input_type=str | list[str | int | float]),
]
Variables = Annotated[
    dict[str, str | None],
    BeforeValidator(variables, json_schema_input_type=dict[str, bool | int | float | str | None]),
]


OneOrMore = Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])]


def long_option(text: str) -> str:
    """Raise ValueError if a text is no option with its dashes."""
    if not re.fullmatch(r"-[^\s=]+", text):
        raise ValueError(f"expected an option such as --config, got '{text}'")
    return text


class ConfigFileSpec(BaseModel):
    """The configuration as a file that is written into the trial's folder."""

    model_config = STRICT
    name: Annotated[
        str,
        AfterValidator(file_name),
        Field(description="the file's name; .yaml, .yml, .json or .toml says its format"),
    ]
    template: Annotated[
        str | None,
        Field(
            description="a file whose keys the parameters replace, or that has placeholders such "
            "as {lr}; relative to this file"
        ),
    ] = None
    option: Annotated[
        Annotated[str, AfterValidator(long_option)] | None,
        Field(description="the option that passes the path, such as --config; null: none does"),
    ] = None

    @model_validator(mode="after")
    def _known_format(self) -> ConfigFileSpec:
        if self.template is None and PurePosixPath(self.name).suffix not in CONFIG_FORMATS:
            raise ValueError(
                f"name: expected a file {', '.join(CONFIG_FORMATS[:-1])} or {CONFIG_FORMATS[-1]}, "
                f"got '{self.name}'; a file of another kind needs a template"
            )
        return self


class ScriptSpec(BaseModel):
    """How a script gets its parameters, all of which `RAYSWEEP_CONFIG` has as JSON, too."""

    model_config = STRICT
    launcher: Annotated[
        Words | None,
        Field(description="words before the script, such as torchrun; default: this Python"),
    ] = None
    folder: Annotated[
        str | None,
        Field(description="the working folder, relative to this file; default: the script's own"),
    ] = None
    environment: Annotated[
        Variables,
        Field(description="environment variables; null: it is not set"),
    ] = {}
    arguments: Annotated[
        Words, Field(description="words of the command line before the options")
    ] = []
    options: Annotated[
        Options | None,
        Field(
            description="how a parameter is written on the command line; none: it is not; "
            "default: --name=value, or none with config_file"
        ),
    ] = None
    values: Annotated[
        Literal["json", "python", "hydra"],
        Field(
            description="json: true, null, [1, 2]; python: True, None, [1, 2]; hydra: as json, "
            "with quotes round text that Hydra would read as something else"
        ),
    ] = "json"
    lists: Annotated[
        Literal["value", "words", "commas", "repeat"],
        Field(
            description="value: --a=[1, 2]; words: --a 1 2; commas: --a=1,2; repeat: --a=1 --a=2"
        ),
    ] = "value"
    flags: Annotated[
        bool | list[str],
        Field(
            description="true is written as --name alone, and false is left out; true, or a list "
            "of the parameters for which that is so"
        ),
    ] = False
    negated_flags: Annotated[
        bool | list[str],
        Field(
            description="true is written as --name, false as --no-name; true, or a list of the "
            "parameters for which that is so"
        ),
    ] = False
    names: Annotated[
        dict[str, OptionName | None],
        Field(description="options called otherwise than their parameters; null: no option"),
    ] = {}
    after: Annotated[Words, Field(description="words of the command line after the options")] = []
    config_file: Annotated[
        ConfigFileSpec | None, Field(description="writes the configuration as a file")
    ] = None
    resume: Annotated[
        Words | None,
        Field(
            description="words that are added when a trial is continued and its checkpoint exists; "
            "[]: the script finds its checkpoint itself"
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        Field(
            description="where the script saves; of a pattern such as {folder}/*.ckpt, the newest; "
            "without resume, only for the export"
        ),
    ] = None
    reports: Annotated[
        OneOrMore,
        Field(
            description="files that the script writes while it trains: paths, folders or globs of "
            "TensorBoard's event files, CSV, JSON lines, trainer_state.json or MLflow's files"
        ),
    ] = []

    @property
    def form(self) -> Options:
        """The form of an option."""
        if self.options is not None:
            return self.options
        return "--name=value" if self.config_file is None else "none"

    def section(self) -> dict[str, Any]:
        """The section as plain data, with every default written out."""
        data = self.model_dump(mode="json") | {"options": self.form}
        if self.config_file is not None:
            data["config_file"] = self.config_file.model_dump(mode="json", exclude_none=True)
        return {key: value for key, value in data.items() if value is not None}

    @model_validator(mode="after")
    def _consistent(self) -> ScriptSpec:
        dashed = self.form.startswith("--")
        for key, given in (("flags", self.flags), ("negated_flags", self.negated_flags)):
            if given and not dashed:
                raise ValueError(
                    f"{key}: expected options --name=value or --name value, got {self.form}"
                )
        if self.lists in ("words", "repeat") and not dashed:
            raise ValueError(
                f"lists: {self.lists} expects options --name=value or --name value, got {self.form}"
            )
        if self.names and self.form == "none" and self.config_file is None:
            raise ValueError("names: with options: none, no parameter has an option to name")
        if self.flags is True and self.negated_flags is True:
            raise ValueError("flags and negated_flags: one of them must name its parameters")
        return self

    @model_validator(mode="after")
    def _continued(self) -> ScriptSpec:
        if self.resume and self.checkpoint is None:
            raise ValueError(
                "resume: expected checkpoint beside it, the path at which the script saves"
            )
        return self
