//! Tokens and sets of keys: a token is read in one spelling only, nothing that was not signed counts, and to look costs no
//! more than the bytes are worth (P6, P9, P12).

#![no_main]

mod budget;

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use forgetgate::domain::UnixSeconds;
use forgetgate::domain::derive::{bearer, from_claims};
use forgetgate::domain::token::{KEYS_MAX, KeySet, KeysAt, Token, Trust};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Keys of an issuer, and the tokens that it has signed.
static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../spec/tokens/vectors.json")).expect("the vectors are JSON"));
static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::read(VECTORS["keys"].to_string().as_bytes()).expect("the keys are a set"));
static SIGNED: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let tokens = VECTORS["tokens"].as_object().expect("the tokens are a table");
    tokens.values().filter_map(Value::as_str).collect()
});

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    match mode % 3 {
        0 => judge(data),
        1 => judge(&assembled(data)),
        _ => show(data),
    }
    budget::keeps(data, 1024, |text| {
        match mode % 3 {
            0 => judge(text),
            1 => judge(&assembled(text)),
            _ => show(text),
        }
        text.len()
    });
});

fn show(keys: &[u8]) {
    if let Ok(keys) = KeySet::read(keys) {
        assert!((1..=KEYS_MAX).contains(&keys.count()));
    }
}

/// A token of a header, claims and a signature, divided by line ends; with a key's name where there is no header.
fn assembled(data: &[u8]) -> Vec<u8> {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (header, claims, signature) = (next(), next(), next());
    let header = if header.is_empty() { br#"{"alg":"ES256","kid":"p256"}"# } else { header };
    [header, claims, signature].map(|part| BASE64URL_NOPAD.encode(part)).join(".").into_bytes()
}

fn judge(text: &[u8]) {
    let line = [b"Bearer ", text].concat();
    assert!(bearer([line.as_slice(), line.as_slice()].into_iter()).is_ok());
    let Ok(token) = Token::read(text) else { return };
    for part in text.split(|byte| *byte == b'.') {
        let decoded = BASE64URL_NOPAD.decode(part).expect("what was read is base64url");
        assert_eq!(BASE64URL_NOPAD.encode(&decoded).as_bytes(), part, "a second spelling of one token");
    }
    let trust = Trust {
        keys: KeysAt::File("keys".into()),
        issuer: "https://issuer.test".to_owned(),
        audience: Some("gate".to_owned()),
    };
    if let Ok(claims) = token.verified(&KEYS, &trust, NOW) {
        assert!(token.may_count(&trust, NOW).is_ok());
        assert!(SIGNED.iter().any(|signed| signed.as_bytes() == text), "nobody has signed this");
        assert_eq!(from_claims(&claims, "sub").ok().flatten().expect("a customer").expose(), "u-1");
    }
}
