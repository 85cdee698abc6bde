//! From the written form to [`crate::config::Config`].
