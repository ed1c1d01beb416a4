"""The vault: files sealed at rest with FLOE, opened one segment at a time."""
