"""The links to the kit's sensors: kept up, counted, and told of in words."""
