//! What becomes of pages and scripts with Web Chat in them.

use super::{GET, PAGE, answer, assert_counted, get, gunzipped, gzipped, opted_out, world};
use crate::client::request;

const SCRIPT: &str = "window.watsonAssistantChatOptions={integrationID:'a',region:'b',learningOptOut:false};";

#[test]
fn p2_a_page_with_web_chat_opts_out() {
    let world = world();
    let lines = [
        "ETag: \"abc\"",
        "Last-Modified: Mon, 30 Nov 2026 10:00:00 GMT",
        "Accept-Ranges: bytes",
        "Content-MD5: AAAA",
        "Repr-Digest: sha-256=:AAAA:",
        "Cache-Control: max-age=60",
        "X-Other: kept",
    ];
    world.upstream.will_say(answer("text/html; charset=utf-8", &lines, PAGE));
    let mut client = world.client();
    let got = client.ask(get());
    assert_eq!(got.text(), opted_out(PAGE));
    assert_ne!(got.text(), PAGE);
    assert_eq!(got.value("content-length"), got.body.len().to_string());
    assert_eq!(got.value("etag"), "W/\"abc-fgoo1\"");
    assert_eq!(got.value("accept-ranges"), "none");
    assert_eq!(got.value("last-modified"), "Mon, 30 Nov 2026 10:00:00 GMT");
    assert_eq!((got.value("cache-control"), got.value("x-other")), ("max-age=60".into(), "kept".into()));
    for gone in ["content-md5", "repr-digest"] {
        assert_eq!(got.values(gone), Vec::<String>::new());
    }
    assert_eq!(client.ask(get()).text(), "{}", "the connection goes on");
    assert_counted(&world, &[("set", 1)]);
    let upstreams = world.admin("/api/v1/upstreams").json();
    assert_eq!(upstreams["upstreams"][0]["webchat"], serde_json::json!({ "set": 1 }));
}

#[test]
fn p2_scripts_of_their_own_opt_out_too() {
    let world = world();
    let kinds =
        ["text/javascript", "application/javascript; charset=UTF-8", "Application/X-JavaScript", "text/ecmascript"];
    for kind in kinds {
        world.upstream.will_say(answer(kind, &[], SCRIPT));
        assert_eq!(world.ask(request("GET /api/a.js", &[], "")).text(), SCRIPT.replace("false", "true"), "{kind}");
    }
    assert_counted(&world, &[("set", 4)]);
}

#[test]
fn p2_a_coded_page_opts_out_and_stays_coded() {
    let world = world();
    for coding in ["gzip", "x-gzip", "GZIP", "identity, gzip"] {
        let line = format!("Content-Encoding: {coding}");
        world.upstream.will_say(answer("text/html", &[&line, "Vary: Accept-Encoding"], gzipped(PAGE)));
        let got = world.ask(get());
        assert_eq!(gunzipped(&got.body), opted_out(PAGE));
        assert_eq!(
            (got.value("content-encoding"), got.value("vary")),
            (coding.to_owned(), "Accept-Encoding".to_owned())
        );
        assert_eq!(got.value("content-length"), got.body.len().to_string());
    }
    // Two members are one text (RFC 1952 §2.2).
    let (first, second) = PAGE.split_at(200);
    let members = [gzipped(first), gzipped(second)].concat();
    world.upstream.will_say(answer("text/html", &["Content-Encoding: gzip"], members));
    assert_eq!(gunzipped(&world.ask(get()).body), opted_out(PAGE));
}

#[test]
fn p2_a_page_opts_out_whatever_its_status_is() {
    let world = world();
    for status in ["203 Other", "403 Forbidden", "404 Not Found", "500 Broken"] {
        let said = String::from_utf8(answer("application/xhtml+xml", &[], PAGE)).unwrap();
        world.upstream.will_say(said.replace("200 OK", status));
        let got = world.ask(get());
        assert_eq!((format!("{} {}", got.status, got.reason), got.text()), (status.to_owned(), opted_out(PAGE)));
    }
}

#[test]
fn p2_a_page_that_is_posted_for_opts_out_too() {
    let world = world();
    world.upstream.will_say(answer("text/html", &[], PAGE));
    let got = world.ask(request("POST /api/login", &["Content-Length: 3"], "a=b"));
    assert_eq!(got.text(), opted_out(PAGE));
    assert_eq!(world.upstream.only().body, b"a=b");
}

#[test]
fn p2_a_page_in_chunks_opts_out_and_keeps_its_trailers() {
    let world = world();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (first, second) = PAGE.split_at(150);
    let chunks = format!(
        "{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\nServer-Timing: db;dur=1\r\n\r\n",
        first.len(),
        second.len()
    );
    world.upstream.will_say(format!("{head}{chunks}"));
    let mut client = world.client();
    let got = client.ask(get());
    assert_eq!((got.text(), got.values("transfer-encoding")), (opted_out(PAGE), vec!["chunked".to_owned()]));
    assert_eq!(got.trailers, ["Server-Timing: db;dur=1"]);
    assert_eq!(client.ask(get()).text(), "{}");
}

/// What a trailer says of the service's bytes is as wrong there as in the head.
#[test]
fn p8_a_changed_page_has_no_trailers_about_the_services_bytes() {
    let world = world();
    let trailers = "Digest: sha-256=AAAA\r\nContent-MD5: AAAA\r\nRepr-Digest: a\r\ncontent-digest: a\r\nETag: \"abc\"\r\nX-Other: kept\r\n";
    let said = |page: &str| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nTrailer: Digest";
        format!("{head}\r\n\r\n{:x}\r\n{page}\r\n0\r\n{trailers}\r\n", page.len())
    };
    world.upstream.will_say(said(PAGE));
    let got = world.ask(get());
    assert_eq!((got.text(), got.trailers), (opted_out(PAGE), vec!["X-Other: kept".to_owned()]));
    world.upstream.will_say(said("<p>"));
    let got = world.ask(get());
    assert_eq!(got.trailers, trailers.trim_end().split("\r\n").collect::<Vec<_>>(), "of a page that is as it was");
}

/// Browsers look at the first bytes where no type is said, and run scripts of nearly any type (MIME Sniffing §7.1, HTML §4.12.1).
#[test]
fn p2_what_a_browser_takes_for_a_page_or_a_script_opts_out_too() {
    let world = world();
    let untyped = |lines: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nETag: \"abc\"\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let blanks = format!("\r\n \t{PAGE}");
    for lines in ["", "Content-Type: \r\n", "Content-Type: */*\r\n", "Content-Type: unknown/unknown\r\n"] {
        for page in [PAGE, &blanks] {
            world.upstream.will_say(untyped(lines, page));
            assert_eq!(world.ask(get()).text(), opted_out(page), "{lines:?}");
        }
    }
    let script = |line: &str| request("GET /api/a", &[line], "");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/octet-stream\r\n"] {
        world.upstream.will_say(untyped(kind, SCRIPT));
        let got = world.ask(script("Sec-Fetch-Dest: script"));
        assert_eq!(got.text(), SCRIPT.replace("false", "true"), "{kind:?}");
        world.upstream.will_say(untyped(kind, SCRIPT));
        assert_eq!(world.ask(request("GET /api/a.js", &[], "")).text(), SCRIPT.replace("false", "true"), "{kind:?}");
    }
    // What is none of them keeps its bytes, its length and its tag, also where it is long.
    let long = format!("PK\x03\x04{}{PAGE}", "x".repeat(2 << 20));
    let nosniff = "X-Content-Type-Options: nosniff\r\n";
    for (lines, body) in [("", "PK\x03\x04<script>"), ("", ""), ("", " \n"), ("", &long), (nosniff, PAGE)] {
        world.upstream.will_say(untyped(lines, body));
        let got = world.ask(get());
        assert!(got.text() == body, "{:.20}", got.text());
        assert_eq!((got.value("content-length"), got.value("etag")), (body.len().to_string(), "\"abc\"".to_owned()));
    }
    let mut client = world.client();
    world.upstream.will_say("HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 700\r\n\r\n");
    client.send(request(&GET.replace("GET", "HEAD"), &[], ""));
    let head = client.answer_to("HEAD");
    assert_eq!((head.value("etag"), head.value("content-length")), ("\"abc\"".to_owned(), "700".to_owned()));
    for line in ["Sec-Fetch-Dest: image", "Sec-Fetch-Dest: empty"] {
        world.upstream.will_say(answer("text/plain", &[], SCRIPT));
        assert_eq!(world.ask(script(line)).text(), SCRIPT, "{line}");
    }
    world.upstream.will_say(answer("text/plain", &["X-Content-Type-Options: nosniff"], SCRIPT));
    assert_eq!(world.ask(script("Sec-Fetch-Dest: script")).text(), SCRIPT);
}

/// Nobody knows then whether the body would change, so nothing is said that depends on it.
#[test]
fn p8_a_head_says_nothing_of_bytes_that_may_change() {
    let world = world();
    let lines = ["ETag: \"abc\"", "Digest: sha-256=AAAA", "X-Other: kept", "Content-Length: 700"];
    let head = |kind: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{}\r\n\r\n", lines.join("\r\n"));
    world.upstream.will_say(head("text/html"));
    world.upstream.will_say(head("image/png"));
    let mut client = world.client();
    client.send(request(&GET.replace("GET", "HEAD"), &[], ""));
    let page = client.answer_to("HEAD");
    assert_eq!(page.value("x-other"), "kept");
    for gone in ["etag", "digest", "content-length", "transfer-encoding"] {
        assert_eq!(page.values(gone), Vec::<String>::new(), "{}", page.head);
    }
    client.send(request("HEAD /api/a.png", &[], ""));
    let image = client.answer_to("HEAD");
    assert_eq!((image.value("etag"), image.value("content-length")), ("\"abc\"".to_owned(), "700".to_owned()));
    assert_eq!(client.ask(get()).text(), "{}");
}
