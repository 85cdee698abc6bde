//! HTTP/2 on either side of the gate: what holds over HTTP/1.1 holds here, in all four combinations.

mod authority;
pub(crate) mod caller;
mod combinations;
mod frames;
mod instances;
mod limits;
mod matrix;
mod negotiated;
mod raw;
mod service;
mod services;
mod taken_back;
mod unread;
mod webchat;
mod websocket;
mod world;
