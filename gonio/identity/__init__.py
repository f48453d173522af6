"""Who a kit is: names, keys, certificates."""
