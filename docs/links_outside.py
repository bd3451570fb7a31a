"""On the site, a link out of docs/ (to results/, say) becomes its words: what it points at is not there."""

import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **rest: Any) -> str:
    """Called by MkDocs for every page. Only pages in docs/ itself leave it by `../`."""
    if "/" in page.file.src_uri:
        return markdown
    return re.sub(r"(?<!!)\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", markdown)
