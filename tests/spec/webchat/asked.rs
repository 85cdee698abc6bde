//! What the service is asked for, and copies that callers keep.

use super::{PAGE, answer, assert_counted, get, opted_out, world};
use crate::client::request;

#[test]
fn p2_the_service_is_asked_only_for_codings_that_can_be_read() {
    let world = world();
    for (asked, sent) in [("gzip, deflate, br, zstd", "gzip"), ("br", "identity"), ("gzip;q=0.5, *", "gzip;q=0.5")] {
        let seen = world.forwarded(request("GET /api/x", &[&format!("Accept-Encoding: {asked}")], ""));
        assert_eq!(seen.values("accept-encoding"), [sent]);
    }
    assert_eq!(world.forwarded(request("GET /api/x", &[], "")).values("accept-encoding"), Vec::<String>::new());
}

#[test]
fn p8_a_changed_copy_is_confirmed_by_the_service() {
    let world = world();
    world.upstream.will_say(answer("text/html", &["ETag: \"abc\""], PAGE));
    let first = world.ask(get());
    assert_eq!(first.text(), opted_out(PAGE));
    world
        .upstream
        .will_say("HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nContent-Length: 700\r\nX-Other: kept\r\n\r\n");
    let mut client = world.client();
    let mark = format!("If-None-Match: {}", first.value("etag"));
    let again = client.ask(request("GET /api/index.html", &[&mark, "If-Modified-Since: then"], ""));
    assert_eq!((again.status, again.value("etag")), (304, first.value("etag")));
    assert_eq!((again.values("content-length"), again.value("x-other")), (vec![], "kept".to_owned()));
    let seen = world.upstream.saw(2).pop().unwrap();
    assert_eq!(seen.values("if-none-match"), ["\"abc\", W/\"abc\""]);
    assert_eq!(seen.values("if-modified-since"), ["then"]);
    assert_eq!(client.ask(get()).text(), "{}", "the connection goes on");
    assert_counted(&world, &[("set", 1)]);
}

/// The copy may be of a time before the key was set.
#[test]
fn p11_a_copy_of_a_page_that_is_not_marked_is_not_confirmed() {
    let world = world();
    let conditions =
        ["If-None-Match: \"abc\", W/\"def\"", "If-Modified-Since: then", "Range: bytes=0-1", "If-Range: \"abc\""];
    for (line, wants) in [
        ("GET /api/", "Accept: */*"),
        ("GET /api/index.html", "Accept: */*"),
        ("GET /api/app.js?v=1", "Accept: */*"),
        ("GET /api/page", "Accept: text/html,application/xhtml+xml;q=0.9"),
        ("GET /api/script", "Sec-Fetch-Dest: script"),
    ] {
        let lines = [&[wants][..], &conditions].concat();
        let seen = world.forwarded(request(line, &lines, ""));
        assert_eq!(seen.lines()[1..], [wants], "{line}");
    }
    // What a condition keeps another method from doing, such as overwriting a page, it still does.
    for line in ["GET /api/a.png", "GET /api/v1/workspaces", "PUT /api/index.html", "DELETE /api/"] {
        let lines = [&["Accept: */*"][..], &conditions].concat();
        assert_eq!(world.forwarded(request(line, &lines, "")).lines()[1..], lines, "{line}");
    }
}
