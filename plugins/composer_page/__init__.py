"""Plugin: a page to hear and see pieces in a browser."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_exporters() -> Offers:
    """Register `.html`."""
    from composer_page.exporter import PageExporter

    return {".html": PageExporter}
