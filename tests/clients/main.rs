//! Unmodified clients through the real gate: IBM's SDKs for Python and Node, the JDK's own client, and the curl
//! commands of the documentation.
//!
//! Each test starts stand-in services, `forgetgate run` before them, and a program of a user of the SDK (client.py,
//! client.js, Client.java; dictation.py and its like for WebSockets). What the user sees and what the services received are
//! both judged.

mod conformance;
mod curl;
mod gate;
mod program;
mod sdk;
mod websocket;
