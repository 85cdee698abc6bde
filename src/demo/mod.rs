//! The demonstration: stand-in services on loopback, the gate before them, and one story that is told with both.

pub mod services;
