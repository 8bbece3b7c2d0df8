"""Config on the command line: how its fields become flags, in the groups that --help shows one by one."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
import typing
from itertools import pairwise
from typing import Annotated, Any

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from a2c.config import GROUPS, Config
from a2c.presets import PRESETS

registry = ConstructorRegistry()
"""The rules by which tyro, the parser, reads our types."""

Preset = Annotated[
    str,
    tyro.conf.arg(
        metavar="NAME|FILE",
        help="Gives the settings that the command line does not name. auto: the preset named like the environment; "
        "none; a file, such as `a2c tune` writes; or one of " + ", ".join(PRESETS) + ".",
    ),
]
"""The name of a preset, or its file; --help lists the names."""

Settings = Annotated[Config, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]
"""Config as a field of a verb, with flags without a prefix."""


@registry.struct_rule
def _dataclass(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Reads a dataclass of ours as tyro does, except that line breaks in a field's documentation become spaces."""
    if not dataclasses.is_dataclass(info.type) or not info.type.__module__.startswith("a2c."):
        return None
    kind: Any = info.type
    types = typing.get_type_hints(kind, include_extras=True)
    return StructConstructorSpec(
        instantiate=kind,
        fields=tuple(
            StructFieldSpec(
                field.name,
                types[field.name],
                _default(field, info.default),
                functools.partial(_help, kind, field.name),  # Lazily: it parses the source, and only --help needs it.
            )
            for field in dataclasses.fields(kind)
        ),
    )


def _help(kind: type, name: str) -> str | None:
    return _documentation(kind).get(name)


@functools.cache
def _documentation(kind: type) -> dict[str, str]:
    """The docstrings below the fields of a class, by field."""
    definition = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0])
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }  # fmt: skip


def _default(field: dataclasses.Field[Any], instance: Any) -> Any:
    if dataclasses.is_dataclass(instance):
        return getattr(instance, field.name)
    if field.default is not dataclasses.MISSING:
        return field.default
    return tyro.MISSING if field.default_factory is dataclasses.MISSING else field.default_factory()


@registry.struct_rule  # tyro tries the last rule first.
def _config(info: StructTypeInfo) -> StructConstructorSpec | None:
    if info.type is not Config:
        return None
    return StructConstructorSpec(
        instantiate=_joined,
        fields=tuple(StructFieldSpec(name, kind, _part(kind, info.default)) for name, kind in GROUPS.items()),
    )


def _part(kind: type, config: Any) -> Any:
    """The fields of one group, from a Config; without a Config, tyro's own value for "missing"."""
    if not isinstance(config, Config):
        return config
    return kind(**{field.name: getattr(config, field.name) for field in dataclasses.fields(kind)})


def _joined(**groups: Any) -> Config:
    return Config(**{name: value for group in groups.values() for name, value in vars(group).items()})
