//! P9: no spelling of a request reaches a governed endpoint ungoverned.

use crate::client::request;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn message(lines: &[&str]) -> String {
    request(MESSAGE, &[&[LABEL, "Content-Length: 2"], lines].concat(), "{}")
}

/// The service would see one path, the gate has seen another.
const TRICKS: [&str; 30] = [
    "/v1/workspaces/w%2Fmessage",
    "/v1/workspaces/w%2fmessage",
    "/v1%2Fworkspaces/w/message",
    "/v1/workspaces//w/message",
    "//v1/workspaces/w/message",
    "/v1/workspaces/w/message//",
    "/v1/./workspaces/w/message",
    "/v1/workspaces/w/message/.",
    "/v1/workspaces/x/../w/message",
    "/v1/workspaces/w/message/x/..",
    "/v1/workspaces/x/%2e%2e/w/message",
    "/v1/workspaces/x/..;/w/message",
    "/v1/workspaces/x/..;a=b/w/message",
    "/v1/workspaces/w/message;a=b",
    "/v1/workspaces/w/message%3Ba",
    "/v1\\workspaces\\w\\message",
    "/v1/workspaces/w%5Cmessage",
    "/v1/workspaces/w/%256dessage",
    "/v1/workspaces/w/%25%36%64essage",
    "/v1/workspaces/w%252Fmessage",
    "/v1/workspaces/w/message%00",
    "/v1/workspaces/w/message%0d%0a",
    "/v1/workspaces/w/message%20",
    "/v1/workspaces/w/message.json",
    "/v1/workspaces/w/MESSAGE",
    "/V1/Workspaces/w/message",
    "/v1/workspaces/w/message%23",
    "/v1/workspaces/w/message%3Fx",
    "/v1/workspaces/w/%u006dessage",
    "/v1/workspaces/w/%6",
];

#[test]
fn p9_no_spelling_of_a_labelled_path_gets_through_unlabelled() {
    for path in TRICKS {
        let world = World::start();
        let answer = world.ask(request(&format!("POST /api{path}"), &["Content-Length: 2"], "{}"));
        // One that no reader takes for the message call would be forwarded; none of these is.
        let code = answer.values("forgetgate-refusal");
        assert!(code == ["path_ambiguous"] || code == ["label_missing"], "{path}: {}", answer.head);
        world.assert_untouched();
    }
}

/// Also not with a label, since the gate does not know which call it would be.
#[test]
fn p9_a_doubtful_path_near_a_labelled_call_is_refused_with_a_label_too() {
    for path in ["/v1/workspaces/x/../w/message", "/v1/workspaces/w%2Fmessage", "/v1//workspaces/w/message"] {
        let sent = request(&format!("POST /api{path}"), &[LABEL, "Content-Length: 2"], "{}");
        World::start().refused(sent, 400, "path_ambiguous");
    }
}

#[test]
fn p9_the_delete_by_label_has_one_spelling() {
    for path in
        ["/v2//user_data", "/v2/./user_data", "/v2/user%5Fdata/..;/user_data", "/v2%2Fuser_data", "/v2/user_data;x"]
    {
        let sent = request(&format!("DELETE /api{path}?customer_id=alice"), &[], "");
        World::start().refused(sent, 400, "path_ambiguous");
    }
}

#[test]
fn p9_a_hash_in_the_target_is_refused() {
    for target in ["/api/v1/workspaces#/w/message", "/api/v1/x?a=b#c", "/api/v1/workspaces/w/message#"] {
        World::start().refused(request(&format!("POST {target}"), &[LABEL], ""), 400, "path_ambiguous");
    }
}

/// A path that climbs out of the upstream's own could reach another service on the same host, of another profile.
#[test]
fn p9_no_path_climbs_out_of_the_upstream() {
    let climbing = [
        "/../other/v1/workspaces",
        "/v1/../../other",
        "/%2e%2e/other",
        "/.%2E/other",
        "/..;/other",
        "/..%2fother",
        "/..\\other",
        "/%252e%252e/other",
        "/x/..//../other",
        "/..",
    ];
    for path in climbing {
        let world =
            World::of(Plan { base: "/speech-to-text/api", profile: "watson-speech-to-text", ..Plan::default() });
        let answer = world.ask(request(&format!("GET /api{path}"), &[], ""));
        answer.assert_refused(400, "path_ambiguous");
        assert_eq!(world.upstream.connections(), 0);
    }
    let world = World::of(Plan { base: "/base", ..Plan::default() });
    assert_eq!(world.forwarded(request("GET /api/v9/a/../b", &[], "")).line(), "GET /base/v9/a/../b HTTP/1.1");
}

#[test]
fn p9_a_route_is_matched_on_whole_segments() {
    for path in
        ["/apiv1/workspaces", "/api%2Fv1/workspaces", "/API/v1/workspaces", "//api/v1/workspaces", "/", "/x/../api/v1"]
    {
        World::start().refused(request(&format!("GET {path}"), &[], ""), 404, "upstream_unknown");
    }
}

#[test]
fn p9_a_method_in_lower_case_is_no_way_round() {
    for method in ["post", "Post", "poST"] {
        let sent = request(&MESSAGE.replace("POST", method), &["Content-Length: 2"], "{}");
        World::start().refused(sent, 400, "path_ambiguous");
    }
    assert_eq!(World::start().forwarded(request("purge /api/v9/cache", &[], "")).line(), "purge /v9/cache HTTP/1.1");
}

#[test]
fn p9_a_method_override_is_judged_as_the_method_that_it_means() {
    let delete = "/api/v2/user_data?customer_id=alice";
    for name in
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override", "X.HTTP.Method"]
    {
        for value in ["DELETE", "delete", " DELETE ", "GET, DELETE"] {
            let sent = request(&format!("POST {delete}"), &[&format!("{name}: {value}")], "");
            World::start().refused(sent, 400, "header_ambiguous");
        }
    }
    let put = request(&MESSAGE.replace("POST", "PUT"), &["X-HTTP-Method-Override: POST", "Content-Length: 2"], "{}");
    World::start().refused(put, 400, "header_ambiguous");
}

/// Whichever line a server takes for the right one.
#[test]
fn p9_every_line_of_a_method_override_is_judged() {
    let delete = "POST /api/v2/user_data?customer_id=alice";
    let (good, evil) = ("X-HTTP-Method-Override: POST", "X-HTTP-Method-Override: DELETE");
    for lines in [[good, evil], [evil, good], ["X-HTTP-Method: POST", evil], [evil, "X-Method-Override: POST"]] {
        World::start().refused(request(delete, &lines, ""), 400, "header_ambiguous");
    }
}

/// Rails, Laravel and others look for it in the query.
#[test]
fn p9_a_method_override_in_the_query_is_judged_as_the_method_that_it_means() {
    let delete = "POST /api/v2/user_data?customer_id=alice";
    for parameter in [
        "_method=DELETE",
        "_method=delete",
        "%5fmethod=DELETE",
        "_Method=%44ELETE",
        "a=1&_method=GET&_method=DELETE",
        "a=1;_method=DELETE",
        "_method=DELETE;a=1",
    ] {
        World::start().refused(request(&format!("{delete}&{parameter}"), &[], ""), 400, "header_ambiguous");
    }
    for parameter in ["X-HTTP-Method-Override=DELETE", "x_http_method=delete", "x.method%2doverride=DELETE"] {
        World::start().refused(request(&format!("{delete}&{parameter}"), &[], ""), 400, "header_ambiguous");
    }
}

#[test]
fn p8_a_harmless_method_override_passes() {
    let world = World::start();
    for query in ["_method=PATCH", "_method=POST", "method=DELETE", "_method", "_methods=DELETE"] {
        let seen = world.forwarded(request(&format!("POST /api/v9/thing?{query}"), &["Content-Length: 0"], ""));
        assert_eq!(seen.line(), format!("POST /v9/thing?{query} HTTP/1.1"));
    }
    let lines = ["X-HTTP-Method-Override: PATCH", "Content-Length: 0"];
    let seen = world.forwarded(request("POST /api/v9/thing", &lines, ""));
    assert_eq!(seen.values("x-http-method-override"), ["PATCH"]);
    let same = message(&["X-HTTP-Method-Override: POST"]);
    assert_eq!(world.forwarded(same).values("x-http-method-override"), ["POST"]);
}

#[test]
fn p9_a_nomination_of_a_governed_or_framing_header_is_refused() {
    let nominations: [&[&str]; 12] = [
        &["Connection: X-Watson-Metadata"],
        &["Connection: close, X-Watson-Metadata"],
        &["Connection: keep-alive", "Connection: X-Watson-Metadata"],
        &["Connection: x-watson-METADATA"],
        &["Connection: keep-alive,\tX-Watson-Metadata\t"],
        &["Connection: ,,X-Watson-Metadata,,"],
        &["connection: X_Watson_Metadata"],
        &["Connection: X.Watson.Metadata"],
        &["Connection: Host"],
        &["Connection: Content-Length"],
        &["Connection: transfer-encoding"],
        &["Connection: \"X-Watson-Metadata\""],
    ];
    for lines in nominations {
        World::start().refused(message(lines), 400, "header_ambiguous");
        World::with_policy("missing = \"derive\"\nderive = [ { header = \"X-User\" } ]").refused(
            message(&[lines, &["X-User: mallory"]].concat()),
            400,
            "header_ambiguous",
        );
    }
}

#[test]
fn p8_what_else_connection_names_goes_and_the_rest_stays() {
    let world = World::start();
    let lines = ["X-Hop: 1", "X-End: 2", "Cookie: a=b", "Connection: X-Hop, close", "connection: COOKIE", "Via: 1.1 x"];
    let seen = world.forwarded(message(&lines));
    for gone in ["x-hop", "connection", "cookie", "keep-alive"] {
        assert_eq!(seen.values(gone), Vec::<String>::new(), "{}", seen.head);
    }
    assert_eq!(seen.values("x-end"), ["2"]);
    assert_eq!(seen.values("via"), ["1.1 x", "1.1 forgetgate"]);
}

/// The gate's own lines are written after Connection has done its work.
#[test]
fn p9_what_the_gate_writes_cannot_be_nominated_away() {
    let lines = [
        "Connection: Via, Traceparent, X-Request-Id, X-Forwarded-For",
        "X-Request-Id: r-1",
        "X-Forwarded-For: 10.0.0.1",
    ];
    let plan = Plan { upstream: "forwarded = true".into(), ..Plan::default() };
    let seen = World::of(plan).forwarded(message(&lines));
    assert_eq!(seen.values("via"), ["1.1 forgetgate"]);
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!((seen.values("traceparent").len(), seen.values("x-request-id").len()), (1, 1));
}

#[test]
fn p9_twins_of_the_label_never_reach_the_service() {
    for twin in ["X_Watson_Metadata", "X.Watson.Metadata", "X-Watson_Metadata", "x_watson-metadata"] {
        let evil = format!("{twin}: customer_id=mallory");
        World::start().refused(message(&[&evil]), 400, "header_ambiguous");
        World::start().refused(request(MESSAGE, &[&evil, "Content-Length: 2"], "{}"), 400, "header_ambiguous");
        World::start().refused(request(PLAIN, &[&evil], ""), 400, "header_ambiguous");
        World::with_policy("mode = \"observe\"").refused(message(&[&evil]), 400, "header_ambiguous");
    }
}

#[test]
fn p9_governed_and_framing_names_in_trailers_never_reach_the_service() {
    let names =
        ["X-Watson-Metadata", "X_Watson_Metadata", "Host", "Content-Length", "Transfer-Encoding", "Authorization"];
    let lines = [LABEL, "Trailer: X-Sum", &format!("Trailer: {}", names.join(" , ")), "Transfer-Encoding: chunked"];
    let evil: String = names.iter().map(|name| format!("{name}: 9\r\n")).collect();
    let seen = World::start().forwarded(request(MESSAGE, &lines, &format!("2\r\n{{}}\r\n0\r\n{evil}X-Sum: 1\r\n\r\n")));
    assert_eq!(seen.trailers, ["X-Sum: 1"]);
    assert_eq!(seen.values("trailer"), ["X-Sum"]);
}

#[test]
fn p9_an_upgrade_to_anything_is_not_carried_and_what_follows_is_judged() {
    let world = World::start();
    for lines in [
        ["Connection: Upgrade", "Upgrade: foo"],
        ["Connection: upgrade, HTTP2-Settings", "Upgrade: h2c"],
        ["Connection: keep-alive", "Upgrade: h2c"],
    ] {
        let mut client = world.client();
        let settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA";
        let upgrade = message(&[lines[0], lines[1], settings]);
        let before = world.upstream.seen().len();
        client.send(format!("{upgrade}{}", request(MESSAGE, &["Content-Length: 2"], "{}")));
        assert_eq!(client.answer().status, 200, "{lines:?}");
        client.answer().assert_refused(400, "label_missing");
        let seen = world.upstream.saw(before + 1).pop().unwrap();
        for gone in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(seen.values(gone), Vec::<String>::new(), "{}", seen.head);
        }
    }
}

/// A service that switches protocols although it was not asked: nothing of either side may pass unjudged.
#[test]
fn p9_a_101_that_nobody_asked_for_is_no_answer() {
    let world = World::start();
    world.upstream.will_say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nHELLO");
    let answer = world.ask(message(&["Connection: Upgrade", "Upgrade: foo"]));
    answer.assert_refused(502, "upstream_unreachable");
    assert_eq!(world.forwarded(message(&[])).connection, 1, "the odd connection is not used again");
}

#[test]
fn p9_connect_is_no_road() {
    let world = World::start();
    for target in ["127.0.0.1:80", "service:443", "[::1]:80"] {
        let mut client = world.client();
        client.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{}",
            request(MESSAGE, &["Content-Length: 0"], "")
        ));
        client.answer().assert_refused(404, "upstream_unknown");
        // Whatever comes behind it is a request like any other, or nothing at all.
        let rest = String::from_utf8(client.rest_within_a_moment()).unwrap();
        assert!(rest.is_empty() || rest.contains("label_missing"), "{rest}");
    }
    world.assert_untouched();
}

/// Some readers trim each segment of a path.
#[test]
fn p9_blanks_behind_any_segment_are_ambiguous() {
    for path in [
        "/v1%20/workspaces/w/message",
        "/v1/workspaces%20/w/message",
        "/v1/workspaces/w/message%20",
        "/v1./workspaces/w/message",
        "/v1%09/workspaces/w/message",
        "/v1%C2%A0/workspaces/w/message",
    ] {
        let sent = request(&format!("POST /api{path}?version=2021-06-14"), &["Content-Length: 2"], "{}");
        World::start().refused(sent, 400, "path_ambiguous");
    }
}

/// CGI, WSGI and PHP make one variable of all of them.
#[test]
fn p9_no_second_spelling_of_what_the_gate_drops_or_writes_reaches_the_service() {
    let names = [
        "X_Original_URL",
        "X.Rewrite.URL",
        "Content_Length",
        "Transfer_Encoding",
        "X_Request_Id",
        "Forgetgate_Authorization",
    ];
    for name in names {
        let seen = World::start().forwarded(request(PLAIN, &[&format!("{name}: 1")], ""));
        assert_eq!(seen.values(name), Vec::<String>::new(), "{}", seen.head);
    }
    let kept = World::start().forwarded(request(PLAIN, &["X_Forwarded_For: 1", "X_Other: 2"], ""));
    assert_eq!((kept.values("x_forwarded_for"), kept.values("x_other")), (vec!["1".to_owned()], vec!["2".to_owned()]));
    let told = World::of(Plan { upstream: "forwarded = true".into(), ..Plan::default() });
    let seen = told.forwarded(request(PLAIN, &["X_Forwarded_For: 1", "X.Forwarded.Host: evil"], ""));
    assert!(!seen.head.contains("X_Forwarded") && !seen.head.contains("evil"), "{}", seen.head);
}
