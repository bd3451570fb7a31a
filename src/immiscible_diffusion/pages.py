"""Pages of one file that load nothing: their stylesheet, and what their templates need."""

import base64
import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Fill in a template of the package, such as "comparison/report.html"; a missing value is an error."""
    environment = Environment(
        loader=PackageLoader("immiscible_diffusion", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    return environment.get_template(template).render(values)


def flattened(settings: dict[str, Any], above: str = "") -> tuple[tuple[str, str], ...]:
    """Nested settings as rows with dotted names."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            rows += flattened(value, f"{above}{name}.")
        else:
            rows.append((f"{above}{name}", value if isinstance(value, str) else json.dumps(value)))
    return tuple(rows)


def _unbroken(cell: str) -> str:
    """Let a table cell break before its interval only."""
    return cell.replace(" ", "\u00a0").replace("\u00a0(", " (")


def data_uri(kind: str, content: bytes) -> str:
    """Content as an address that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
