"""Plugin: a page to hear and see pieces in a browser; it knows the hooks and nothing of what is on the page."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_exporters() -> Offers:
    """Offer `.html`."""
    from composer_page.exporter import PageExporter

    return {".html": PageExporter}
