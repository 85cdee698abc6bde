//! Configurations and profiles: whatever is written, it is taken whole or every fault has its place and its reason (P11).

#![no_main]

use std::path::Path;

use forgetgate::config;
use forgetgate::domain::profile::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A file that is named is looked at: the fuzzer is to find faults here, and not files.
    if text.contains("/dev/") || text.contains("/proc/") || text.contains("/sys/") {
        return;
    }
    match config::parse(text, Path::new("/nonexistent")) {
        Ok(loaded) => {
            assert!(!loaded.config.listen.is_empty() && !loaded.config.upstreams.is_empty());
            let said = loaded.config.describe().to_string();
            assert!(!said.contains("\u{1}secret"));
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.split('\n').count();
            for fault in faults {
                assert!((1..=lines).contains(&fault.line) && fault.column >= 1, "{fault}");
                assert!(!fault.what.is_empty() && !fault.right.is_empty(), "{fault}");
            }
        }
    }
    if let Err(faults) = Profile::from_toml(text) {
        assert!(!faults.is_empty());
    }
});
