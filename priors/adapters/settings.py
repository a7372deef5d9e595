"""An adapter's settings: the ``network`` of a card, validated like a recipe (unknown keys are refused with a suggestion)."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from inverse.errors import PriorError, did_you_mean

__all__ = ["Settings", "validated"]


class Settings(BaseModel):
    """Base of the adapters' settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Some = TypeVar("Some", bound=Settings)


def validated(model: type[Some], given: dict[str, Any] | None) -> Some:
    """Settings from a mapping.

    Raises:
        PriorError: a key is unknown or a value is not allowed.
    """
    try:
        return model.model_validate(given or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise PriorError(f"no setting '{key}'", did_you_mean(key, model.model_fields)) from error
        raise PriorError(f"setting {key}={str(first['input'])[:60]}: {first['msg']}") from error
