//! Where is listened, and whose word is taken there about who calls.

use super::{LEAST, around, check, read};

/// The first listener's address and further keys, in place of [`LEAST`]'s.
fn listener(keys: &str) -> String {
    LEAST.replace("address = \"127.0.0.1:8080\"", keys)
}

#[test]
fn a_unix_socket_is_an_absolute_path_of_a_bounded_length_with_a_mode_of_its_own() {
    for path in ["gate.sock", "/run/../gate.sock", "", "/", "/run/gate/"] {
        check(&listener(&format!("address = \"unix:{path}\"")), (3, "listen[1].address", "no absolute path"));
    }
    let long = format!("address = \"unix:/{}\"", "x".repeat(107));
    check(&listener(&long), (3, "listen[1].address", "107 bytes"));
    for mode in ["660", "0660", "0666", "600"] {
        read(&listener(&format!("address = \"unix:/run/gate.sock\"\nsocket_mode = \"{mode}\""))).unwrap();
    }
    for mode in ["", "0888", "0060", "07777", "rw"] {
        let text = listener(&format!("address = \"unix:/run/gate.sock\"\nsocket_mode = \"{mode}\""));
        check(&text, (4, "listen[1].socket_mode", "no mode"));
    }
    let text = listener("address = \"127.0.0.1:1\"\nsocket_mode = \"0660\"");
    check(&text, (4, "listen[1].socket_mode", "read by nobody"));
    let twice = around("[admin]\naddress = \"unix:/run/g.sock\"\n", "").replace("127.0.0.1:8080", "unix:/run/g.sock");
    check(&twice, (1, "admin", "listened at twice"));
}

#[test]
fn proxies_are_ranges_of_addresses() {
    let with = |value: &str| listener(&format!("address = \"127.0.0.1:1\"\nproxy_protocol = {value}"));
    for good in ["true", "false", "{ from = [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\"] }"] {
        assert!(read(&with(good)).unwrap().warnings.is_empty(), "{good}");
    }
    check(&with("\"yes\""), (4, "listen[1].proxy_protocol", "wrong type: found a string"));
    check(&with("{ }"), (4, "listen[1].proxy_protocol.from", "is missing"));
    check(&with("{ from = [] }"), (4, "listen[1].proxy_protocol.from", "is empty"));
    check(&with("{ from = [\"10.1.0.0/8\"] }"), (4, "listen[1].proxy_protocol.from[1]", "no range"));
    check(
        &with("{ form = [\"10.0.0.0/8\"], from = [\"10.0.0.0/8\"] }"),
        (4, "listen[1].proxy_protocol.form", "no key"),
    );
}

/// P10, P11: where everybody is believed about who they are, `check` says so.
#[test]
fn believing_everybody_is_warned_of_and_with_open_erasures_refused() {
    let warned = |address: &str, value: &str| {
        let text = listener(&format!("address = \"{address}\"\nproxy_protocol = {value}"));
        let warnings = read(&text).unwrap().warnings;
        assert!(warnings.iter().all(|warning| warning.key == "listen[1].proxy_protocol"), "{warnings:?}");
        !warnings.is_empty()
    };
    for open in ["0.0.0.0:1", "[::]:1", "203.0.113.7:1"] {
        assert!(warned(open, "true"), "{open}");
        assert!(!warned(open, "{ from = [\"10.0.0.0/8\"] }"), "{open}");
        assert!(!warned(open, "false"), "{open}");
    }
    for private in ["127.0.0.1:1", "10.0.0.1:1", "[fd00::1]:1", "unix:/run/gate.sock"] {
        assert!(!warned(private, "true"), "{private}");
    }
    let open =
        format!("{}[erasure]\nauthorize = \"open\"\n", listener("address = \"127.0.0.1:1\"\nproxy_protocol = true"));
    check(&open, (4, "listen[1].proxy_protocol", "lets every one of them erase"));
}
