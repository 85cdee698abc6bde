//! Pages that are too long or too slow to be held back.

use std::sync::{Mutex, mpsc};

use super::{PAGE, assert_counted, before, get, gunzipped, gzipped, opted_out};
use crate::client::{PATIENCE, request};
use crate::disconnects::reset;
use crate::upstream::{Connection, Upstream};

const SMALL: &str = "inspected_body_bytes_max = \"1KiB\"";

/// So much stands before the script that the page is not held back as a whole.
fn long() -> String {
    PAGE.replace("<h1>", &format!("{}<h1>", "<p>filler</p>".repeat(200)))
}

/// Answers each request with the next of these parts of a page, each of which is written by itself.
fn in_parts(lines: &'static str, parts: Vec<Vec<Vec<u8>>>) -> Upstream {
    let parts = Mutex::new(parts.into_iter());
    Upstream::serving(move |connection: &mut Connection| {
        while connection.request().is_some() {
            let parts = parts.lock().unwrap().next().unwrap();
            connection.write(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\n{lines}\r\n"));
            if lines.contains("chunked") {
                parts.iter().for_each(|part| {
                    connection.write([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
                });
                connection.write("0\r\n\r\n");
            } else {
                parts.iter().for_each(|part| connection.write(part));
            }
        }
    })
}

#[test]
fn p2_however_a_long_page_is_divided_it_opts_out() {
    let page = long();
    let script = page.find("<script>").unwrap();
    let cuts = (script - 2..script + 40).chain(page.len() - 30..page.len());
    let divided: Vec<Vec<Vec<u8>>> = cuts
        .map(|cut| {
            let (first, second) = page.as_bytes().split_at(cut);
            vec![first.to_vec(), second.to_vec()]
        })
        .collect();
    let count = divided.len();
    let world = before(in_parts("Transfer-Encoding: chunked\r\n", divided), SMALL);
    let mut client = world.client();
    for _ in 0..count {
        let got = client.ask(get());
        assert_eq!((got.text(), got.whole), (opted_out(&page), true));
        assert_eq!(got.value("etag"), "W/\"a-fgoo1\"");
    }
    assert_counted(&world, &[("set", count as u64)]);
}

#[test]
fn p2_a_long_page_with_a_length_or_a_coding_opts_out_as_it_streams() {
    let page = long();
    let length: &'static str = format!("Content-Length: {}\r\n", page.len()).leak();
    let world = before(in_parts(length, vec![vec![page.clone().into_bytes()]; 2]), SMALL);
    let got = world.ask(get());
    assert_eq!((got.text(), got.values("transfer-encoding")), (opted_out(&page), vec!["chunked".to_owned()]));
    let old = world.ask("GET /api/index.html HTTP/1.0\r\nHost: gate\r\n\r\n");
    assert_eq!((old.text(), old.values("transfer-encoding")), (opted_out(&page), vec![]), "{}", old.head);

    let noise: String = (0..20_000_u32).map(|at| format!("<p>{}</p>", at.wrapping_mul(2_654_435_761))).collect();
    let page = PAGE.replace("<h1>", &format!("{noise}<h1>"));
    let lines = "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n";
    // Browsers leave out what stands behind a member and is no further one.
    for behind in ["", "\n", "something that is no gzip"] {
        let coded = [&gzipped(&page)[..], behind.as_bytes()].concat();
        let parts = coded.chunks(999).map(<[u8]>::to_vec).collect();
        let world = before(in_parts(lines, vec![parts]), SMALL);
        let got = world.ask(get());
        assert_eq!((got.value("content-encoding"), got.whole), ("gzip".to_owned(), true), "{behind:?}");
        assert!(gunzipped(&got.body) == opted_out(&page));
        assert_counted(&world, &[("set", 1)]);
    }
    let cut = gzipped(&page);
    let parts = cut[..cut.len() - 6].chunks(999).map(<[u8]>::to_vec).collect();
    assert!(!before(in_parts(lines, vec![parts]), SMALL).ask(get()).whole, "a coding that breaks off is seen to");
}

/// What is counted is how often a page was served, whoever ended it.
#[test]
fn p2_what_was_found_in_a_page_is_counted_once_also_where_its_caller_leaves_in_the_middle() {
    let upstream = Upstream::serving(|connection| {
        connection.request().unwrap();
        let page = long();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.write(format!("{head}{:x}\r\n{page}\r\n", page.len()));
        connection.until_closed();
    });
    let world = before(upstream, SMALL);
    let mut client = world.client();
    client.send(get());
    client.read_until("learningOptOut: true");
    reset(client);
    assert_counted(&world, &[("set", 1)]);
}

#[test]
fn p8_a_page_that_is_made_in_pieces_shows_its_first_ones_before_its_last() {
    for coding in ["", "Content-Encoding: gzip\r\n"] {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let upstream = Upstream::serving(move |connection| {
            connection.request().unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n";
            let parts = ["<p>first", "<script>window.watsonAssistantChatOptions = {", "};</script>second"];
            let parts: Vec<Vec<u8>> = if coding.is_empty() {
                parts.iter().map(|part| part.as_bytes().to_vec()).collect()
            } else {
                parts.iter().map(gzipped).collect()
            };
            connection.write(format!("{head}{coding}\r\n"));
            for (at, part) in parts.iter().enumerate() {
                connection.write([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
                if at < 2 {
                    wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                }
            }
            connection.write("0\r\n\r\n");
            connection.until_closed();
        });
        let world = before(upstream, "");
        let mut client = world.client();
        client.send(request("GET /api/index.html", &[], ""));
        let head = client.head();
        assert!(head.contains("chunked"), "{head}");
        if coding.is_empty() {
            client.read_until("<p>first");
        }
        go.send(()).unwrap();
        go.send(()).unwrap();
        if coding.is_empty() {
            client.read_until("= { learningOptOut: true};</script>second");
        }
        client.read_until("0\r\n\r\n");
        assert_counted(&world, &[("set", 1)]);
    }
}
