"""Plugin: scores engraved, as SVG and PDF; it knows the hooks and nothing of notation."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_exporters() -> Offers:
    """Offer `.svg` (one tall page) and `.pdf`."""
    from composer_engraving.pdf import PdfExporter
    from composer_engraving.svg import SvgExporter

    return {".svg": SvgExporter, ".pdf": PdfExporter}
