"""What the pages of kit and clinic share: stylesheet, base template, charts drawn on the server, security headers."""
