"""What the pages of kit and clinic share: the stylesheet, the base template, the charts."""
