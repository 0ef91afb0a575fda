"""Errors of a configuration in words: the key, what is wrong, what is meant."""

import difflib
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first error of a configuration of this model as one sentence."""
    return explain_all(error, model)[0]


def explain_all(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return each error of a configuration of this model as a sentence."""
    return [_sentence(each, model) for each in error.errors(include_url=False)]


def _sentence(each: Any, model: type[BaseModel]) -> str:
    loc = each["loc"]
    name = ".".join(str(part) for part in loc) or "the file"
    if each["type"] == "extra_forbidden":
        known = _fields_at(loc[:-1], model)
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(known))}."
        return f"unknown key `{name}`: {hint}"
    if each["type"] == "missing":
        return f"`{name}` is missing."
    message = each["msg"].removeprefix("Value error, ")
    return f"`{name}`: {message}."


def _fields_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    for part in loc:
        if isinstance(part, str):
            named = {field.alias or name: field for name, field in model.model_fields.items()}
            if part in named:
                inner = _model_in(named[part].annotation)
                if inner is None:
                    return []
                model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, tuple, Union, types.UnionType, Annotated):
        for inner in get_args(annotation):
            if (found := _model_in(inner)) is not None:
                return found
    return None
