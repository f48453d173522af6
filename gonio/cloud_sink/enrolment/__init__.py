"""How kits become the clinic's: keys, claims, certificates, and the service that kits talk to."""
