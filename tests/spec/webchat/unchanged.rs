//! What passes as it came, and what is counted then.

use super::{PAGE, answer, assert_counted, before, get, gzipped, opted_out, plan, world};
use crate::client::{Answer, request};
use crate::upstream::{Reply, Upstream};
use crate::world::{Plan, World};

const BARE: &str =
    "<!DOCTYPE html><p>No chat</p><script>var a = '</p>';</script><!-- window.watsonAssistantChatOptions = {} -->";

/// The lines that the service said, without those that the gate adds.
fn lines(got: &Answer) -> Vec<&str> {
    let ours = ["via:", "x-request-id:"];
    got.head.split("\r\n").filter(|line| !ours.iter().any(|our| line.to_ascii_lowercase().starts_with(our))).collect()
}

/// It arrives with every byte and line that it was sent with.
#[track_caller]
fn passes(world: &World, said: &[u8]) {
    world.upstream.will_say(said);
    let mut client = world.client();
    let got = client.ask(get());
    let end = memchr::memmem::find(said, b"\r\n\r\n").unwrap();
    let head = String::from_utf8(said[..end].to_vec()).unwrap();
    assert_eq!(lines(&got), head.split("\r\n").collect::<Vec<_>>());
    assert!(got.body == said[end + 4..], "{}", got.text());
    assert_eq!(client.ask(get()).text(), "{}", "the connection goes on");
}

#[test]
fn p8_a_page_without_web_chat_passes_byte_for_byte() {
    let world = world();
    let lines = ["ETag: \"abc\"", "Accept-Ranges: bytes", "Content-MD5: AAAA", "Digest: sha-256=AAAA"];
    let gzip = [&lines[..], &["Content-Encoding: gzip"]].concat();
    passes(&world, &answer("text/html", &lines, BARE));
    passes(&world, &answer("text/html", &lines, BARE.repeat(2_000)));
    passes(&world, &answer("text/html", &gzip, gzipped(BARE)));
    passes(&world, &answer("text/html", &gzip, gzipped("")));
    passes(&world, &answer("text/html", &lines, ""));
    passes(&world, &answer("text/html", &gzip, ""));
    passes(&world, &answer("text/javascript", &lines, "var a = 1;"));
    passes(&world, &answer("text/javascript", &gzip, gzipped("var a = 1;")));
    assert_counted(&world, &[]);
}

#[test]
fn p8_what_is_no_page_passes_byte_for_byte() {
    let world = world();
    for kind in
        ["application/json", "text/plain", "image/svg+xml", "text/css", "text/html-not", "application/octet-stream"]
    {
        passes(&world, &answer(kind, &["ETag: \"abc\""], PAGE));
    }
    assert_counted(&world, &[]);
}

#[test]
fn p8_without_the_key_a_page_passes_byte_for_byte() {
    let world = World::start();
    passes(&world, &answer("text/html", &["ETag: \"abc\""], PAGE));
    let lines = ["Accept-Encoding: br", "If-None-Match: W/\"a-fgoo1\"", "If-Modified-Since: then", "Range: bytes=0-1"];
    let seen = world.forwarded(request("GET /api/index.html", &lines, ""));
    assert_eq!(seen.lines()[1..], lines);
    assert_counted(&world, &[]);
}

#[test]
fn p2_a_page_that_opts_out_already_passes_byte_for_byte() {
    let world = world();
    passes(&world, &answer("text/html", &["ETag: \"abc\""], opted_out(PAGE)));
    assert_counted(&world, &[("already", 1)]);
}

#[test]
fn p11_what_cannot_be_read_passes_byte_for_byte_and_is_counted() {
    let world = world();
    let lines = ["ETag: \"abc\""];
    let computed = "<script>window.watsonAssistantChatOptions = f();</script>";
    passes(&world, &answer("text/html", &lines, computed));
    passes(&world, &answer("text/html; charset=utf-16", &lines, PAGE));
    let charsets = ["\"Shift_JIS\"", "x-sjis", "windows-31j", "GB18030", "x-gbk", "cn-big5", "csISO2022JP", "unicode"];
    for charset in charsets {
        passes(&world, &answer(&format!("text/html; charset={charset}"), &lines, PAGE));
    }
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(PAGE.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    passes(&world, &answer("text/html", &lines, utf16));
    let part = String::from_utf8(answer("text/html", &lines, PAGE)).unwrap();
    passes(&world, part.replace("200 OK", "206 Part").as_bytes());
    assert_counted(&world, &[("unseen", 12)]);
    for coding in ["br", "deflate", "zstd", "gzip, gzip"] {
        passes(&world, &answer("text/html", &[&format!("Content-Encoding: {coding}")], PAGE));
    }
    // Not what they say, cut, and with something behind it.
    let gzip = gzipped(PAGE);
    for body in [PAGE.as_bytes(), &gzip[..gzip.len() - 4], &[&gzip[..], b"more"].concat()] {
        passes(&world, &answer("text/html", &["Content-Encoding: gzip"], body));
    }
    assert_counted(&world, &[("unseen", 12), ("encoded", 7)]);
}

#[test]
fn p12_a_script_that_is_too_long_passes_and_is_counted() {
    let world = before(Upstream::scripted(), "inspected_body_bytes_max = \"1KiB\"");
    let long = PAGE.replace("<script>", &format!("<script>/*{}*/", "x".repeat(4_000)));
    world.upstream.will_say(answer("text/html", &[], &long));
    assert_eq!(world.ask(get()).text(), long);
    let script = format!("{}window.watsonAssistantChatOptions = {{}};", "x();".repeat(1_000));
    world.upstream.will_say(answer("text/javascript", &[], &script));
    assert_eq!(world.ask(get()).text(), script);
    world.upstream.will_say(answer("text/javascript", &[], "x();".repeat(1_000)));
    assert_eq!(world.ask(get()).body.len(), 4_000);
    assert_counted(&world, &[("too_long", 2)]);
}

/// The browser would not run it if it were another.
#[test]
fn p8_a_script_that_a_page_pins_by_its_hash_stays_as_it_is() {
    let world = world();
    let script = "window.watsonAssistantChatOptions = {};";
    let asks = "<script src=\"a.js\" integrity=\"sha384-HASH sha512-other\"></script>";
    passes(&world, &answer("text/html", &[], asks.replace("HASH", HASH)));
    passes(&world, &answer("text/javascript", &[], script));
    let policy = format!("Content-Security-Policy: script-src 'sha384-{HASH}'");
    passes(&world, &answer("text/html", &[&policy], format!("<script>{script}</script>")));
    assert_counted(&world, &[("pinned", 2)]);
    world.upstream.will_say(answer("text/javascript", &[], "window.watsonAssistantChatOptions = {a: 1};"));
    assert_eq!(world.ask(get()).text(), "window.watsonAssistantChatOptions = {a: 1, learningOptOut: true};");
}

/// `printf 'window.watsonAssistantChatOptions = {};' | openssl dgst -sha384 -binary | base64`
const HASH: &str = "r8MGfc6FJy15eso9wu+9G1Gk28LHI4vDRY3Sq7PUGkzdOWslbQcM2zXNE8xalCdp";

#[test]
fn p8_a_page_that_breaks_off_arrives_as_far_as_it_came() {
    for part in [BARE, "<p>", ""] {
        let world = World::of(Plan { ..plan() });
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n";
        world.upstream.will(Reply::ThenClose(format!("{head}{part}").into_bytes()));
        let got = world.ask(get());
        assert_eq!((got.text().as_str(), got.whole, got.value("content-length").as_str()), (part, false, "9999"));
    }
    let world = world();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n";
    world.upstream.will(Reply::ThenClose(format!("{head}{PAGE}").into_bytes()));
    let got = world.ask(get());
    assert_eq!((got.text(), got.whole), (opted_out(PAGE), false));
}
