//! The promises, one by one: the real gate on a free port, raw bytes from a caller, and a scripted service behind it
//! that keeps the exact bytes of whatever reached it. What is asserted is what went over the wires.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that finds something else has failed")]
#![allow(clippy::disallowed_methods, reason = "how long real sockets and processes take is measured by the real clock")]

mod answers;
mod authority;
mod certificates;
mod client;
mod codec_answers;
mod codec_bodies;
mod codec_bounds;
mod codec_connections;
mod codec_edges;
mod codec_expect;
mod codec_heads;
mod codec_lines;
mod codec_new;
mod codec_random;
mod codec_reuse;
mod codec_sizes;
mod codec_wire;
mod deletes;
mod derive;
mod disconnects;
mod documents;
mod faults;
mod forward;
mod forward_http2;
mod forward_tls;
mod framing;
mod http2;
mod in_query;
mod instances;
mod invisible;
mod labels;
mod limits;
mod limits_clocks;
mod listeners;
mod log_queries;
mod matrix;
mod no_way_round;
mod observe;
mod opt_out;
mod own_limits;
mod pool;
mod proxy_protocol;
mod refusals;
mod reload;
mod rules;
mod tls;
mod tls_in;
mod tls_in_names;
mod tls_in_peers;
mod tls_in_renewal;
mod tokens;
mod tunnels;
mod uploads;
mod upstream;
mod ways;
mod webchat;
mod websocket;
mod world;
