"""Exchange rates: fetched by one instance for all, judged, and written where every instance reads them."""
