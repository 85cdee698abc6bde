//! The demonstration: the stand-in services, spoken to over real sockets, and the story that is told with them. What
//! other tests conclude from the stand-ins must be true of them.

mod bytes;
mod knobs;
mod services;
mod story;
mod support;
mod websocket;
mod wire;
