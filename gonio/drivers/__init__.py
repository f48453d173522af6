"""From a radio to samples: links to real sensors, and the codecs that read and write their packets."""
