"""Evaluates IAM policies as AWS does: a denial wins, and what no statement allows is denied.

It knows the elements and operators that our policies use, and fails at any other. Source: IAM User
Guide, "Policy evaluation logic" and "IAM JSON policy elements".
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Statement = Mapping[str, Any]
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class Request:
    """One call of AWS's API."""

    def __init__(
        self, action: str, resource: str, context: Mapping[str, str] | None = None, by: str = ""
    ) -> None:
        """`context`: condition keys, lower case. `by`: ARN of the caller's role."""
        self.action = action
        self.resource = resource
        self.context = {key.lower(): value for key, value in (context or {}).items()}
        self.by = by


def allowed(request: Request, policies: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the policies (of the role, of the session, of the resource) allow a request.

    All are of one account: one that allows is enough. A session's policy is given to `within`.
    """
    statements = [s for policy in policies for s in _list(policy["Statement"])]
    matching = [s["Effect"] for s in statements if _matches(s, request)]
    return "Allow" in matching and "Deny" not in matching


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(statement: Statement, request: Request) -> bool:
    return (
        _matches_principal(statement, request)
        and _matches_any(statement, "Action", request.action, request, fold=True)
        and _matches_any(statement, "Resource", request.resource, request, fold=False)
        and all(
            _condition(operator, key, values, request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _matches_principal(statement: Statement, request: Request) -> bool:
    principal = statement.get("Principal")
    if principal is None or principal == "*":
        return True
    named = [name for names in principal.values() for name in _list(names)]
    return "*" in named or request.by in named


def _matches_any(
    statement: Statement, element: str, value: str, request: Request, *, fold: bool
) -> bool:
    if element in statement:
        return any(_like(p, value, request, fold) for p in _list(statement[element]))
    return not any(_like(p, value, request, fold) for p in _list(statement["Not" + element]))


def _like(pattern: str, value: str, request: Request, fold: bool) -> bool:
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        found = request.context.get(match[1].lower())
        missing = missing or found is None
        return found or ""

    filled = _VARIABLE.sub(fill, pattern)
    if missing:
        return False
    expression = re.escape(filled).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.IGNORECASE if fold else 0) is not None


def _condition(operator: str, key: str, values: Any, request: Request) -> bool:
    given = request.context.get(key.lower())
    wanted = [str(value) for value in _list(values)]
    match operator:
        case "Null":
            return (given is None) == (wanted == ["true"])
        case "StringNotEquals":
            return given not in wanted
        case "StringEquals" | "ArnEquals":
            return given is not None and given in wanted
        case "Bool":
            return given is not None and given.lower() in wanted
        case "StringLike":
            return given is not None and any(_like(p, given, request, False) for p in wanted)
        case "NumericLessThan":
            return given is not None and float(given) < float(wanted[0])
    raise AssertionError(f"the operator {operator} is not known here")
