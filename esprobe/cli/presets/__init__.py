"""Named settings of the sampling commands, as TOML files."""
