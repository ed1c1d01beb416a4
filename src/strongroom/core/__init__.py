"""Records, identifiers, errors, time and ports: what every other folder may rely on. No behaviour lives here."""
