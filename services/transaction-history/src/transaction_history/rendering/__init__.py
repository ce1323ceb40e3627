"""Statements as PDF: PDF/A-2b, in English, German and Arabic, the same bytes for the same figures."""

from transaction_history.rendering.fonts import FontsUnusable, check_fonts
from transaction_history.rendering.setting import SettingFailed
from transaction_history.rendering.volumes import LINES_PER_VOLUME, TEMPLATE_VERSION, RenderedVolume, render

__all__ = [
    "LINES_PER_VOLUME",
    "TEMPLATE_VERSION",
    "FontsUnusable",
    "RenderedVolume",
    "SettingFailed",
    "check_fonts",
    "render",
]
