//! Which certificate is chosen, and which files are refused.
