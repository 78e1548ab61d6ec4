"""What exists, for everybody and for each credential scope: the port `Catalogs`."""

from gateway.adapters.catalogs.changes import MAX_TOLD, CatalogChange
from gateway.adapters.catalogs.freshness import BURST, Freshness, Patience
from gateway.adapters.catalogs.live import Ears, LiveCatalogs

__all__ = ["BURST", "MAX_TOLD", "CatalogChange", "Ears", "Freshness", "LiveCatalogs", "Patience"]
