"""The time-series projection: what dashboards draw from, made from the book and never the other way round."""
