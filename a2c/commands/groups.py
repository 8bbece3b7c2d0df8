"""Config on the command line: its flags in the groups that it is made of, which --help shows one by one."""

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
from a2c.errors import UserError
from a2c.presets import PRESETS

registry = ConstructorRegistry()
"""What tyro is to know of our types."""

Preset = Annotated[
    str,
    tyro.conf.arg(
        metavar="NAME|FILE",
        help="Settings for what the command line leaves out. auto: those named like the environment; none; one of "
        + ", ".join(PRESETS)
        + "; or the file of some, as `a2c tune` writes it.",
    ),
]
"""The name of a preset, or its file; --help shows which there are."""

Settings = Annotated[Config, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]
"""Config as a field of a verb: its flags bear no prefix."""


def refuse_cluster(config: Config, what: str) -> None:
    """Refuses a cluster where environments are stepped on this machine all the same.

    Raises:
        UserError: One was chosen.
    """
    if config.cluster != "none":
        raise UserError(f"cluster is {config.cluster!r}, which is for single runs of `a2c train`, not {what}; drop it")


@registry.struct_rule
def _dataclass(info: StructTypeInfo) -> StructConstructorSpec | None:
    """One of ours, as tyro would take it, but for line breaks within a field's documentation: those it would keep."""
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
                functools.partial(_help, kind, field.name),  # Asked for by --help alone: it reads the source.
            )
            for field in dataclasses.fields(kind)
        ),
    )


def _help(kind: type, name: str) -> str | None:
    return _documentation(kind).get(name)


@functools.cache
def _documentation(kind: type) -> dict[str, str]:
    """What the strings below the fields of a class say."""
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


@registry.struct_rule  # The last rule is asked first.
def _config(info: StructTypeInfo) -> StructConstructorSpec | None:
    if info.type is not Config:
        return None
    return StructConstructorSpec(
        instantiate=_joined,
        fields=tuple(StructFieldSpec(name, kind, _part(kind, info.default)) for name, kind in GROUPS.items()),
    )


def _part(kind: type, config: Any) -> Any:
    """What a Config holds of one group, or whatever tyro gives where there is no Config yet."""
    if not isinstance(config, Config):
        return config
    return kind(**{field.name: getattr(config, field.name) for field in dataclasses.fields(kind)})


def _joined(**groups: Any) -> Config:
    return Config(**{name: value for group in groups.values() for name, value in vars(group).items()})
