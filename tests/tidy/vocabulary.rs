//! The field's words: names that a newcomer would have to learn here, and that have been given up for standard ones.

use super::source::{Source, words};
use super::tree::File;

/// Types that have a name of the field's now, and which.
const TYPES: [(&str, &str); 12] = [
    ("Barrier", "Inflight"),
    ("Passage", "RequestGuard"),
    ("OurEnd", "OwnConnection"),
    ("ServerTls", "ServerIdentity"),
    ("TlsFault", "HandshakeFault"),
    ("Dealer", "Dispatcher"),
    ("Handed", "AcceptedConnection"),
    ("Door", "ListenerRuntime"),
    ("TurnedAway", "Rejected"),
    ("Tally", "StreamAccounting"),
    ("Ledger", "JobRepository"),
    ("Recordings", "WriteGate"),
];

/// Files and folders below `src` that have one.
const MODULES: [(&str, &str); 13] = [
    ("src/wire", "src/net, src/tls, src/http1 or src/http2"),
    ("src/barrier", "src/inflight"),
    ("src/listen/room", "src/listen/connection_limit"),
    ("src/listen/arrival", "src/listen/protocol_detect"),
    ("src/listen/hello", "src/listen/client_hello"),
    ("src/proxy/apply", "src/proxy/rewrite"),
    ("src/proxy/target", "src/proxy/classify"),
    ("src/proxy/blind", "src/proxy/passthrough"),
    ("src/upstream/places", "src/upstream/pool_limit"),
    ("src/erasure/office", "src/erasure/operator_api"),
    ("src/erasure/ledger", "src/erasure/job_repository"),
    ("src/app/turn", "src/app/apply_config"),
    ("src/config/parse/across", "src/config/parse/cross_checks"),
];

/// A name that was given up and is there again.
pub(crate) fn check_vocabulary(file: &File) -> Vec<String> {
    let stem = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let is_there = |module: &str| stem == module || stem.starts_with(&format!("{module}/"));
    let modules = MODULES.iter().filter(|(gone, _)| is_there(gone));
    let mut faults: Vec<String> = modules.map(|(gone, now)| format!("{}: {gone} is {now} now", file.path)).collect();
    let code = Source::of(&file.text).code;
    for (number, line) in code.lines().enumerate() {
        let gone = words(line).filter_map(|word| TYPES.iter().find(|(gone, _)| *gone == word));
        faults.extend(gone.map(|(gone, now)| format!("{}:{}: {gone} is {now} now", file.path, number + 1)));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_given_up_is_found_in_code_and_in_paths_and_not_in_prose() {
        let faults = |path, text| check_vocabulary(&File::made_up(path, text)).len();
        assert_eq!(faults("src/net/peer.rs", "struct OurEnd(u8);\n"), 1);
        assert_eq!(faults("src/net/peer.rs", "// OurEnd\nstruct OwnConnection;\nlet ours = \"Door\";\n"), 0);
        assert_eq!(faults("src/wire/peer.rs", ""), 1);
        assert_eq!(faults("src/app/turn.rs", ""), 1);
        assert_eq!(faults("src/app/turning.rs", ""), 0);
    }
}
