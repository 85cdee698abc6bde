//! Governed names in queries: whatever a label or an opt-out looks like there, the service reads what was judged (P1, P2, P9).

use crate::client::request;
use crate::upstream::Upstream;
use crate::websocket::{KEY, RECOGNIZE, handshake, seen, speech};
use crate::world::{LABEL, Plan, World};

const SYNTHESIZE: &str = "GET /api/v1/synthesize?text=hello";

fn speaking(policy: &'static str) -> World {
    World::of(Plan { profile: "watson-text-to-speech", policy, ..Plan::default() })
}

#[track_caller]
fn assert_refused_first(world: &World, bytes: impl AsRef<[u8]>, code: &str) {
    world.ask(bytes).assert_refused(400, code);
    assert_eq!(world.upstream.connections(), 0);
}

/// A label that is written into a header line may not end that line.
#[test]
fn p9_a_label_in_a_query_adds_no_lines() {
    for hidden in
        ["%0d%0aX-Evil:%201", "%0aX-Evil:%201", "%0d%0a%0d%0aDELETE%20/v1/x%20HTTP/1.1%0d%0a", "%00", "%7f", "%0d"]
    {
        for policy in ["", "invalid = \"rewrite\"", "personal = \"allow\""] {
            for label in ["customer_id%3Dalice%3Bx%3D1", "customer_id%3Dann%40example.com%3Bx%3D1", "x%3D1"] {
                let world = speaking(policy);
                let sent = request(&format!("{SYNTHESIZE}&x-watson-metadata={label}{hidden}"), &[], "");
                assert_refused_first(&world, sent, "label_invalid");
                let world = speech(Upstream::scripted(), policy);
                let sent = handshake(&format!("{RECOGNIZE}?x-watson-metadata={label}{hidden}"), &[]);
                assert_refused_first(&world, sent, "label_invalid");
            }
        }
    }
}

/// It is refused by every policy, as the delete of such an ID is.
#[test]
fn p6_an_id_of_several_lines_goes_nowhere() {
    let sent = request(&format!("{SYNTHESIZE}&x-watson-metadata=customer_id%3Dal%0d%0aX-Evil:%201"), &[], "");
    for policy in ["", "invalid = \"rewrite\"", "alias = \"always\""] {
        speaking(policy).refused(&sent, 400, "label_invalid");
    }
}

/// A field beside the customer's may hold any bytes: the label is moved all the same, and goes alone if it is an alias.
#[test]
fn p1_p6_a_label_that_is_no_text_is_still_sent_as_it_was_judged() {
    let opted_out = "&x-watson-learning-opt-out=true HTTP/1.1\r\n";
    let address = seen(&format!("{RECOGNIZE}?x-watson-metadata=customer_id%3Dann%40example.com%3Bx%3D%ff"), &[], "");
    assert!(!address.contains("example"), "{address}");
    assert!(address.starts_with("GET /v1/recognize?x-watson-metadata=customer_id%3Dfg_"), "{address}");
    assert!(address.contains(opted_out) && !address.contains("%3B"), "{address}");
    let world = speech(crate::websocket::echoing(), "");
    let mut client = world.client();
    let mut bytes = handshake(RECOGNIZE, &["X-Watson-Metadata: customer_id=alice;x=?"]).into_bytes();
    let at = bytes.windows(3).position(|window| window == b"x=?").unwrap();
    bytes[at + 2] = 0xff;
    client.send(bytes);
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    let head = String::from_utf8_lossy(&world.upstream.bytes(0)).into_owned();
    let expected = format!("GET /v1/recognize?x-watson-metadata=customer_id%3Dalice%3Bx%3D%FF{opted_out}");
    assert!(head.starts_with(&expected), "{head}");
    assert!(!head.contains("X-Watson-Metadata"), "{head}");
}

/// What another reader of queries could take for a governed parameter is never beside the one that was judged.
#[test]
fn p9_a_second_spelling_of_a_governed_parameter_is_refused() {
    let second = [
        "a=b;x-watson-metadata=customer_id%3Dbob",
        "a;X-Watson-Metadata=customer_id%3Dbob;c",
        ";x-watson-metadata=customer_id%3Dbob",
        "x_watson_metadata=customer_id%3Dbob",
        "x%252dwatson-metadata=customer_id%3Dbob",
        "+x-watson-metadata=customer_id%3Dbob",
        "x-watson-metadata%5B%5D=customer_id%3Dbob",
        "a=b;x-watson-learning-opt-out=false",
        "x%255fwatson_learning_opt_out=false",
        "x-watson-metadata=customer_id%3Dalice;x-watson-learning-opt-out=false",
    ];
    for spelt in second {
        let sent = request(&format!("{SYNTHESIZE}&{spelt}"), &[LABEL], "");
        assert_refused_first(&speaking(""), sent, "header_ambiguous");
        let world = speech(Upstream::scripted(), "");
        assert_refused_first(&world, handshake(&format!("{RECOGNIZE}?{spelt}"), &[LABEL]), "header_ambiguous");
    }
    // Nothing else is.
    let query = "&a=b;c=d&x-watson=1&metadata=customer_id=x&x-watson-metadata-2=y";
    let seen = speaking("").forwarded(request(&format!("{SYNTHESIZE}{query}"), &[LABEL], ""));
    assert_eq!(seen.line(), format!("GET /v1/synthesize?text=hello{query} HTTP/1.1"));
}

/// A handshake that a service need not take for one would be an ordinary call there, without the headers that it reads.
#[test]
fn p1_p9_what_is_no_whole_handshake_goes_nowhere() {
    let own = |version: &str, key: &str| {
        let (version, key) = (format!("Sec-WebSocket-Version{version}"), format!("Sec-WebSocket-Key: {key}"));
        request(SYNTHESIZE, &["Upgrade: websocket", "Connection: Upgrade", &version, &key, LABEL], "")
    };
    let mut bad = vec![own(": 7", KEY), own("-No: 13", KEY), own(": 13\r\nSec-WebSocket-Version: 8", KEY)];
    bad.extend(
        ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ!=="]
            .map(|key| own(": 13", key)),
    );
    for nominated in ["Sec-WebSocket-Version", "sec-websocket-key"] {
        bad.push(own(": 13", KEY).replace("Connection: Upgrade", &format!("Connection: Upgrade, {nominated}")));
    }
    for sent in bad {
        assert_refused_first(&speaking(""), sent, "header_ambiguous");
    }
}

/// On a call that is not labelled a label stays where it is, and is only rewritten.
#[test]
fn p8_a_label_on_another_handshake_stays_in_its_header() {
    let head = seen(
        "GET /api/v1/other?x-watson-metadata=customer_id%3Dbob",
        &["X-Watson-Metadata: customer_id=ann@example.com"],
        "",
    );
    assert!(head.starts_with("GET /v1/other?x-watson-metadata=customer_id%3Dbob HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nX-Watson-Metadata: customer_id=fg_"), "{head}");
}
