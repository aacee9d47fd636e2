"""A report as one page of HTML that loads nothing."""

from html import escape

from edge_unlock_convert.evaluation.report import picture, table, whole
from edge_unlock_convert.forensic.document import (
    Block,
    Document,
    Heading,
    Items,
    Paragraph,
    Pictures,
)

STYLE = """
th, td { white-space: normal; vertical-align: top }
td:first-child, td:last-child { overflow-wrap: anywhere; min-width: 9rem }
.weighty { font-size: 1.15rem; border: 1px solid var(--line); background: var(--soft);
  padding: .8rem 1rem }
li { margin: .3rem 0; overflow-wrap: anywhere } p { overflow-wrap: anywhere }
"""


def page(document: Document) -> bytes:
    """The page in UTF-8."""
    parts = [f"<h1>{escape(document.title)}</h1>", *map(_part, document.blocks)]
    return whole(document.title, parts, STYLE).encode()


def _part(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape(block.text)}</h2>"
    if isinstance(block, Paragraph):
        kind = ' class="weighty"' if block.weighty else ""
        return f"<p{kind}>{escape(block.text)}</p>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in block.texts)}</ul>"
    if isinstance(block, Pictures):
        return f'<div class="pictures">{"".join(picture(*one) for one in block.shown)}</div>'
    return table(block.rows)
