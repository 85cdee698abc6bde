//! The stand-in services, spoken to over real sockets: what the other tests conclude from them must be true of them.

mod bytes;
mod knobs;
mod services;
mod support;
mod wire;
