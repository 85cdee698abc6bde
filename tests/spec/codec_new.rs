//! What is wanted of the wire beyond what today's gate does, each with what it does instead.

use crate::client::request;
use crate::codec_wire::{ANY, GET};
use crate::world::World;

/// Today such a connection is thrown away, since the body's end behind its trailers is not noticed.
#[test]
fn p8_a_request_with_trailers_does_not_cost_its_connection() {
    let world = World::start();
    let mut client = world.client();
    let sent = request(ANY, &["Trailer: X-Sum", "Transfer-Encoding: chunked"], "2\r\n{}\r\n0\r\nX-Sum: 9\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(client.ask(&sent).status, 200);
        assert_eq!(client.ask(request(GET, &[], "")).status, 200);
    }
    assert_eq!((world.upstream.saw(6).len(), world.upstream.connections()), (6, 1));
}
