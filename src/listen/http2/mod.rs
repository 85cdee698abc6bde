//! HTTP/2 on the callers' side.
//!
//! Every stream becomes an HTTP/1.1 connection in memory that carries one request: it is read, judged, logged, timed and
//! answered by the same code as any other. What is looked at here is only what HTTP/1.1 could not say.
//! See docs/decisions/002-http2-translated.md.

mod answer;
mod connection;
mod head;
mod preface;
mod stream;

pub(super) use self::connection::serve;
pub(super) use self::preface::sniff;
