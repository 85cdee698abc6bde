//! config.toml as it was written.
