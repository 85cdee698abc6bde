//! Pages with Web Chat opt out over HTTP/2 as over HTTP/1.1, in all four combinations.

use bytes::Bytes;
use h2::server::Builder;
use http::Response;

use super::caller::{Caller, request, run};
use super::service::{Exchange, Service};
use super::world::{Gate, plan};
use crate::client;
use crate::world::{Plan, World};

const PAGE: &str = "<p>one</p><script>window.watsonAssistantChatOptions = {a: 1};</script>";
const OUT: &str = "<p>one</p><script>window.watsonAssistantChatOptions = {a: 1, learningOptOut: true};</script>";

async fn serve(exchange: Exchange) {
    let (_, mut respond) = exchange.read().await;
    let head = Response::builder().header("content-type", "text/html").header("content-length", PAGE.len());
    let mut stream = respond.send_response(head.header("etag", "\"a\"").body(()).unwrap(), false).unwrap();
    for (at, part) in PAGE.as_bytes().chunks(7).enumerate() {
        stream.send_data(Bytes::from_static(part), (at + 1) * 7 >= PAGE.len()).unwrap();
    }
}

fn said() -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len())
}

#[test]
fn p2_a_page_opts_out_over_http_2_on_either_side() {
    let with_key = |plan: Plan| Plan { upstream: format!("{}\nwebchat_opt_out = true", plan.upstream), ..plan };
    let ask = async |address| Caller::to(address).await.ask(request("GET /api/index.html", &[])).await;
    let new = Service::start(Builder::new(), serve);
    let before_new = Gate::of(new.address, &with_key(plan()));
    let before_old = World::of(with_key(Plan::default()));
    before_old.upstream.will_say(said());
    for address in [before_new.address, before_old.address] {
        let got = run(ask(address));
        assert_eq!((got.status, String::from_utf8_lossy(&got.body).as_ref()), (200, OUT));
        assert_eq!(got.head["etag"], "W/\"a-fgoo1\"");
        assert_eq!(got.head["content-length"], OUT.len().to_string().as_str());
        assert!(got.cut.is_none(), "{got:?}");
    }
    let got = before_new.client().ask(client::request("GET /api/index.html", &[], ""));
    assert_eq!((got.text(), got.value("etag")), (OUT.to_owned(), "W/\"a-fgoo1\"".to_owned()));
}
