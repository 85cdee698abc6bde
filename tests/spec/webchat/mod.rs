//! P2 for pages: an upstream with `webchat_opt_out` has `learningOptOut: true` set in the Web Chat that its pages embed.

mod asked;
mod browser;
mod changed;
mod streamed;
mod unchanged;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::client::{eventually, request};
use crate::upstream::Upstream;
use crate::world::{Plan, World};

/// How IBM has it embedded.
const PAGE: &str = r#"<!DOCTYPE html><html><body><h1>Bank</h1>
<script>
  window.watsonAssistantChatOptions = {
    integrationID: "8f4d5a5e", // The ID of this integration.
    region: "us-south", // The region your integration is hosted in.
    onLoad: async (instance) => { await instance.render(); }
  };
  setTimeout(function(){
    const t=document.createElement('script');
    t.src="https://web-chat.invalid/" + (window.watsonAssistantChatOptions.clientVersion || 'latest') + "/WatsonAssistantChatEntry.js";
    document.head.appendChild(t);
  });
</script></body></html>"#;

const GET: &str = "GET /api/index.html";

/// The page as it goes on.
fn opted_out(page: &str) -> String {
    page.replace("instance.render(); }\n", "instance.render(); }, learningOptOut: true\n")
}

fn plan() -> Plan {
    Plan { upstream: "webchat_opt_out = true".to_owned(), ..Plan::default() }
}

fn world() -> World {
    World::of(plan())
}

fn before(upstream: Upstream, limits: &'static str) -> World {
    World::before(upstream, Plan { limits, ..plan() })
}

fn get() -> String {
    request(GET, &[], "")
}

/// An answer with this type, these further lines and this body.
fn answer(kind: &str, lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzipped(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn gunzipped(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// This is what was counted, as results and numbers, those that are 0 left out. An answer is counted when it has ended.
#[track_caller]
fn assert_counted(world: &World, expected: &[(&str, u64)]) {
    eventually(&format!("{expected:?} is counted"), || counted(world) == expected);
}

fn counted(world: &World) -> Vec<(&'static str, u64)> {
    let results = ["set", "already", "unseen", "too_long", "encoded", "pinned"];
    let count = |result: &&'static str| {
        (*result, world.metric(&format!("forgetgate_webchat_total{{upstream=\"service\",result=\"{result}\"}}")))
    };
    results.iter().map(count).filter(|(_, count)| *count > 0).collect()
}
