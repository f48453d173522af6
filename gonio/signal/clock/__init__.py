"""Both sensors' samples on one clock and one grid of moments."""
