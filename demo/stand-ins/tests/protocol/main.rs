//! The stand-in services, spoken to over real sockets. What other tests conclude from the stand-ins must be true of them.

mod bytes;
mod knobs;
mod services;
mod support;
mod websocket;
mod wire;
