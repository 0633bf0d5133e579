"""Plugin: engraved scores, as SVG and PDF."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_exporters() -> Offers:
    """Register `.svg` (one tall page) and `.pdf`."""
    from composer_engraving.drawing import SvgExporter
    from composer_engraving.pdf import PdfExporter

    return {".svg": SvgExporter, ".pdf": PdfExporter}
