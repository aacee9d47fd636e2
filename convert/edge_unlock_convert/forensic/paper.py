"""A report as a PDF, of which the same blocks make the same bytes."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.evaluation import plots
from edge_unlock_convert.forensic.document import (
    Block,
    Document,
    Heading,
    Items,
    Paragraph,
    Pictures,
    Table,
)

if TYPE_CHECKING:
    from fpdf import FPDF

FONT = "DejaVu"
SIZE_PT, SMALL_PT, LINE_MM = 10, 8, 5.0
GREY = (110, 110, 110)
UNDATED = datetime.fromtimestamp(0, UTC)
"""The library insists on a date."""
LEAST_MM = 40.0
"""Room for a heading, or it begins a page."""
SOFT = (240, 242, 245)


def check_library() -> None:
    """Raise ``ConversionError`` where a PDF cannot be written."""
    try:
        import fpdf  # noqa: F401
    except ImportError as error:
        raise ConversionError(
            "a PDF cannot be written: fpdf2 is not installed",
            "Install it: pip install 'edge-unlock[forensic]'",
        ) from error


def paper(document: Document, made: datetime | None) -> bytes:
    """The PDF in A4. Its date is ``UNDATED`` unless it is told one."""
    pdf = _blank(document.title, made)
    pdf.set_font(FONT, "B", 16)
    pdf.multi_cell(0, 8, document.title, new_x="LMARGIN", new_y="NEXT")
    for block in document.blocks:
        _put(pdf, block)
    return bytes(pdf.output())


def _blank(title: str, made: datetime | None) -> "FPDF":
    from fpdf import FPDF

    pdf = FPDF(format="A4")

    def footer() -> None:
        pdf.set_y(-12)
        pdf.set_font(FONT, "", SMALL_PT)
        pdf.set_text_color(*GREY)
        pdf.cell(0, 5, f"{title}, page {pdf.page_no()} of {{nb}}", align="C")
        pdf.set_text_color(0)

    pdf.footer = footer
    # else the library would write the time of day, and an identity made of it
    pdf.set_creation_date(made or UNDATED)
    pdf.set_title(title)
    pdf.set_lang("en")
    pdf.set_auto_page_break(True, margin=18)
    pdf.set_margins(18, 16)
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pdf.add_font(FONT, "", fonts / "DejaVuSans.ttf")
    pdf.add_font(FONT, "B", fonts / "DejaVuSans-Bold.ttf")
    pdf.add_page()
    return pdf


def _put(pdf: "FPDF", block: Block) -> None:
    pdf.set_font(FONT, "", SIZE_PT)
    if isinstance(block, Heading):
        if pdf.will_page_break(LEAST_MM):
            pdf.add_page()
        pdf.ln(3)
        pdf.set_font(FONT, "B", 12)
        pdf.start_section(block.text)
        pdf.multi_cell(0, 7, block.text, new_x="LMARGIN", new_y="NEXT")
    elif isinstance(block, Paragraph):
        pdf.set_fill_color(*SOFT)
        pdf.multi_cell(
            0, LINE_MM, block.text, fill=block.weighty, align="L", new_x="LMARGIN", new_y="NEXT"
        )
        pdf.ln(1.5)
    elif isinstance(block, Items):
        for text in block.texts:
            pdf.multi_cell(0, LINE_MM, f"• {text}", align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(1)
    elif isinstance(block, Pictures):
        _pictures(pdf, block)
    else:
        _table(pdf, block)


def _table(pdf: "FPDF", block: Table) -> None:
    pdf.set_font(FONT, "", SMALL_PT)
    pdf.set_fill_color(255)
    headed = any(block.rows[0])
    with pdf.table(
        col_widths=tuple(block.widths) or None,
        first_row_as_headings=headed,
        line_height=4.2,
        text_align="LEFT",
        borders_layout="HORIZONTAL_LINES",
        padding=0.8,
    ) as table:
        for row in block.rows if headed else block.rows[1:]:
            table.row(list(row))
    pdf.ln(2)


def _pictures(pdf: "FPDF", block: Pictures) -> None:
    """Two in a row."""
    width = (pdf.epw - 4) / 2
    for first in range(0, len(block.shown), 2):
        row = block.shown[first : first + 2]
        height = width * 5.0 / 6.4
        if pdf.will_page_break(height + 12):
            pdf.add_page()
        top = pdf.get_y()
        lowest = top
        for place, (figure, caption) in enumerate(row):
            left = pdf.l_margin + place * (width + 4)
            pdf.image(io.BytesIO(plots.png(figure)), left, top, width)
            pdf.set_xy(left, top + height + 1)
            pdf.set_font(FONT, "", SMALL_PT)
            pdf.multi_cell(width, 4, caption, align="L")
            lowest = max(lowest, pdf.get_y())
        pdf.set_xy(pdf.l_margin, lowest + 3)
