//! Tokens of every algorithm, made by another implementation (`tests/spec/tokens/mint.mjs`), and what must not pass for one.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::{any, proptest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{KeySet, KeySetFault, KeysAt, Token, Trust, Unverified};
use crate::domain::UnixSeconds;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const END: u64 = 4_102_444_800;
const BEGIN: u64 = 1_600_000_000;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/spec/tokens/vectors.json")).unwrap()
}

fn set(keys: &Value) -> KeySet {
    KeySet::read(keys.to_string().as_bytes()).unwrap()
}

fn trust() -> Trust {
    let keys = KeysAt::File("keys".into());
    Trust { keys, issuer: "https://issuer.test".to_owned(), audience: Some("gate".to_owned()) }
}

fn judged(token: &str, keys: &KeySet, now: UnixSeconds) -> Result<Vec<u8>, Unverified> {
    Token::read(token.as_bytes())?.verified(keys, &trust(), now).map(|claims| claims.text().to_vec())
}

fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// An issuer of our own, with one key on P-256.
struct Issuer(EcdsaKeyPair, SystemRandom);

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self(pair, random)
    }

    fn jwk(&self, more: &Value) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let mut key =
            json!({ "kty": "EC", "crv": "P-256", "x": BASE64URL_NOPAD.encode(x), "y": BASE64URL_NOPAD.encode(y) });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn keys(&self, id: &str) -> KeySet {
        set(&json!({ "keys": [self.jwk(&json!({ "kid": id }))] }))
    }

    fn signed(&self, header: &Value, claims: &str) -> String {
        let signed = format!("{}.{}", part(header), BASE64URL_NOPAD.encode(claims.as_bytes()));
        let signature = self.0.sign(&self.1, signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

fn claims(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut claims = json!({ "iss": "https://issuer.test", "aud": "gate", "sub": "u-1", "nbf": BEGIN, "exp": END });
    change(claims.as_object_mut().unwrap());
    claims.to_string()
}

#[test]
fn p1_a_token_of_every_algorithm_is_verified_with_its_own_key_and_no_other() {
    let vectors = vectors();
    let keys = set(&vectors["keys"]);
    let tokens = vectors["tokens"].as_object().unwrap();
    assert_eq!(tokens.len(), 9);
    for (algorithm, token) in tokens {
        let token = token.as_str().unwrap();
        let verified: Value = serde_json::from_slice(&judged(token, &keys, NOW).unwrap()).unwrap();
        assert_eq!(verified["sub"], "u-1", "{algorithm}");
        // Every bit counts: of the header, of the claims, of the signature.
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let other = part(&json!({ "iss": "https://issuer.test", "aud": "gate", "sub": "victim", "exp": END }));
        assert_eq!(judged(&format!("{header}.{other}.{signature}"), &keys, NOW), Err(Unverified::Signature));
        let mut bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        for at in [0, bytes.len() - 1] {
            bytes[at] ^= 1;
            let forged = format!("{header}.{payload}.{}", BASE64URL_NOPAD.encode(&bytes));
            assert_eq!(judged(&forged, &keys, NOW), Err(Unverified::Signature), "{algorithm}");
            bytes[at] ^= 1;
        }
        for cut in ["", &signature[..4]] {
            assert_eq!(judged(&format!("{header}.{payload}.{cut}"), &keys, NOW), Err(Unverified::Signature));
        }
    }
    let other = vectors["keys"]["keys"].as_array().unwrap().iter().map(|key| {
        let mut key = key.clone();
        key["kid"] = format!("other-{}", key["kid"].as_str().unwrap()).into();
        key
    });
    let renamed = set(&json!({ "keys": other.collect::<Vec<_>>() }));
    for token in tokens.values() {
        assert_eq!(judged(token.as_str().unwrap(), &renamed, NOW), Err(Unverified::UnknownKey));
    }
}

/// What a token says of its algorithm chooses nothing: neither none, nor the public key as a shared secret.
#[test]
fn p9_an_algorithm_that_is_not_the_keys_own_is_refused() {
    let vectors = vectors();
    let keys = set(&vectors["keys"]);
    assert_eq!(judged(vectors["hs256"].as_str().unwrap(), &keys, NOW), Err(Unverified::Algorithm));
    let good = vectors["tokens"]["RS256"].as_str().unwrap();
    let [_, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for none in ["none", "None", "NONE", "", "HS384", "HS512", "rs256", "ES512", "ES256K", "RS1", "RSA-OAEP"] {
        for signature in ["", signature] {
            let token = format!("{}.{payload}.{signature}", part(&json!({ "alg": none, "kid": "rsa" })));
            assert_eq!(judged(&token, &keys, NOW), Err(Unverified::Algorithm), "{none}");
        }
    }
    // Of the right kind, and of another algorithm than the key says of itself.
    let mut only = vectors["keys"].clone();
    only["keys"][0]["alg"] = "PS256".into();
    let only = set(&only);
    assert_eq!(judged(good, &only, NOW), Err(Unverified::Algorithm));
    assert!(judged(vectors["tokens"]["PS256"].as_str().unwrap(), &only, NOW).is_ok());
    // A key of another kind.
    for (alg, kid) in [("RS256", "p256"), ("ES256", "rsa"), ("ES256", "p384"), ("ES384", "p256"), ("EdDSA", "p256")] {
        let token = format!("{}.{payload}.{signature}", part(&json!({ "alg": alg, "kid": kid })));
        assert_eq!(judged(&token, &keys, NOW), Err(Unverified::Algorithm), "{alg} {kid}");
    }
}

#[test]
fn p6_a_token_counts_in_its_time_for_its_audience_and_of_its_issuer() {
    let issuer = Issuer::new();
    let keys = issuer.keys("k");
    let header = json!({ "alg": "ES256", "kid": "k" });
    let check = |claims: String, now: u64, expected: Result<(), Unverified>| {
        let token = issuer.signed(&header, &claims);
        assert_eq!(judged(&token, &keys, UnixSeconds(now)).map(drop), expected, "{claims} at {now}");
    };
    check(claims(|_| {}), NOW.0, Ok(()));
    check(claims(|_| {}), END + 59, Ok(()));
    check(claims(|_| {}), END + 60, Err(Unverified::Expired));
    check(claims(|_| {}), BEGIN - 60, Ok(()));
    check(claims(|_| {}), BEGIN - 61, Err(Unverified::NotYet));
    check(claims(|all| drop(all.remove("nbf"))), BEGIN - 61, Ok(()));
    check(claims(|all| drop(all.remove("exp"))), NOW.0, Err(Unverified::NoEnd));
    check(claims(|all| drop(all.insert("exp".into(), json!(1.7e9 + 0.5)))), NOW.0, Ok(()));
    check(claims(|all| drop(all.insert("exp".into(), json!(-1)))), NOW.0, Err(Unverified::Expired));
    check(claims(|all| drop(all.insert("exp".into(), json!("4102444800")))), NOW.0, Err(Unverified::Unreadable));
    for issuer in [json!("https://issuer.test/"), json!("https://ISSUER.test"), json!("")] {
        check(claims(|all| drop(all.insert("iss".into(), issuer))), NOW.0, Err(Unverified::Issuer));
    }
    check(claims(|all| drop(all.remove("iss"))), NOW.0, Err(Unverified::Issuer));
    for good in [json!("gate"), json!(["gate"]), json!(["a", "gate", "b"])] {
        check(claims(|all| drop(all.insert("aud".into(), good))), NOW.0, Ok(()));
    }
    for bad in [json!("other"), json!(["a", "b"]), json!([]), json!("gate,other"), json!("")] {
        check(claims(|all| drop(all.insert("aud".into(), bad))), NOW.0, Err(Unverified::Audience));
    }
    check(claims(|all| drop(all.remove("aud"))), NOW.0, Err(Unverified::Audience));
    check(claims(|all| drop(all.insert("aud".into(), json!({ "gate": 1 })))), NOW.0, Err(Unverified::Unreadable));
    // Which of the two another reader takes is not known.
    let twice = claims(|_| {}).replacen('{', "{\"exp\":1,", 1);
    check(twice, NOW.0, Err(Unverified::Unreadable));
    check("[]".to_owned(), NOW.0, Err(Unverified::Unreadable));
}

#[test]
fn p9_what_is_no_signed_token_in_its_compact_form_is_none() {
    let issuer = Issuer::new();
    let keys = issuer.keys("k");
    let good = issuer.signed(&json!({ "alg": "ES256", "kid": "k" }), &claims(|_| {}));
    assert!(judged(&good, &keys, NOW).is_ok());
    let bad = [
        String::new(),
        "opaque".to_owned(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        format!("{good}."),
        format!("{good}.x.y"),
        format!("{good}="),
        format!("{good}, {good}"),
        good.replacen('.', "..", 1),
        format!(".{good}"),
        good.replacen("ey", "e+", 1),
    ];
    for token in bad {
        assert_eq!(judged(&token, &keys, NOW), Err(Unverified::Unreadable), "{token}");
    }
    for header in [json!({ "alg": "ES256", "kid": "k", "crit": ["exp"] }), json!({ "alg": "ES256", "crit": null })] {
        assert_eq!(judged(&issuer.signed(&header, &claims(|_| {})), &keys, NOW), Err(Unverified::Critical));
    }
    for header in [json!({ "alg": "ES256", "kid": 7 }), json!({ "kid": "k" }), json!([]), json!({ "alg": ["ES256"] })] {
        assert_eq!(judged(&issuer.signed(&header, &claims(|_| {})), &keys, NOW), Err(Unverified::Unreadable));
    }
}

#[test]
fn p12_a_token_without_the_name_of_its_key_is_tried_with_a_few_that_fit() {
    let issuer = Issuer::new();
    let token = issuer.signed(&json!({ "alg": "ES256" }), &claims(|_| {}));
    let others = |count: usize| (0..count).map(|_| Issuer::new().jwk(&json!({})));
    let with = |mut keys: Vec<Value>| {
        keys.push(issuer.jwk(&json!({ "kid": "k" })));
        set(&json!({ "keys": keys }))
    };
    assert!(judged(&token, &with(others(7).collect()), NOW).is_ok());
    assert_eq!(judged(&token, &with(others(8).collect()), NOW), Err(Unverified::ManyKeys));
    // Those that do not fit are not counted.
    let of_rsa = vectors()["keys"]["keys"][0].clone();
    let many = vec![of_rsa; 40];
    assert!(judged(&token, &with(many.clone()), NOW).is_ok());
    // It may be signed with a key that was shown since.
    assert_eq!(
        judged(&token, &set(&json!({ "keys": others(2).collect::<Vec<_>>() })), NOW),
        Err(Unverified::UnknownKey)
    );
    assert_eq!(judged(&token, &set(&json!({ "keys": many })), NOW), Err(Unverified::UnknownKey));
    // One that is named is not looked for among the others.
    let named = issuer.signed(&json!({ "alg": "ES256", "kid": "other" }), &claims(|_| {}));
    assert_eq!(judged(&named, &issuer.keys("k"), NOW), Err(Unverified::UnknownKey));
}

#[test]
fn p11_keys_that_verify_nothing_are_left_out_and_a_set_of_none_is_a_fault() {
    let issuer = Issuer::new();
    let good = issuer.jwk(&json!({ "kid": "good", "use": "sig", "key_ops": ["verify"], "alg": "ES256" }));
    let rsa = vectors()["keys"]["keys"][0].clone();
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let bad = [
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        json!("no key"),
        json!({}),
        with(&good, "use", json!("enc")),
        with(&good, "key_ops", json!(["sign"])),
        with(&good, "alg", json!("HS256")),
        with(&good, "alg", json!("ECDH-ES")),
        with(&good, "kid", json!(7)),
        with(&good, "crv", json!("P-521")),
        with(&good, "d", json!("c2VjcmV0")),
        with(&rsa, "n", json!(BASE64URL_NOPAD.encode(&[0xff; 255]))),
        with(&rsa, "n", json!(BASE64URL_NOPAD.encode(&[0xff; 1025]))),
        with(&rsa, "n", json!("")),
        with(&rsa, "e", json!("AA")),
        with(&rsa, "e", json!("!")),
    ];
    for key in bad {
        let read = |keys: Value| KeySet::read(json!({ "keys": keys }).to_string().as_bytes());
        assert_eq!(read(json!([key])), Err(KeySetFault::NoUsableKey), "{key}");
        assert_eq!(read(json!([key, good])).unwrap().count(), 1, "{key}");
    }
    // Zeros before a number are no part of it, and padding is no part of base64url.
    let n = [&[0], BASE64URL_NOPAD.decode(rsa["n"].as_str().unwrap().as_bytes()).unwrap().as_slice()].concat();
    let padded = with(&rsa, "n", json!(data_encoding::BASE64URL.encode(&n)));
    let keys = set(&json!({ "keys": [padded] }));
    assert!(judged(vectors()["tokens"]["RS256"].as_str().unwrap(), &keys, NOW).is_ok());
}

#[test]
fn p12_a_set_of_keys_is_bounded() {
    let key = Issuer::new().jwk(&json!({}));
    let of = |count: usize| KeySet::read(json!({ "keys": vec![&key; count] }).to_string().as_bytes());
    assert_eq!(of(64).unwrap().count(), 64);
    assert_eq!(of(65), Err(KeySetFault::TooMany));
    assert_eq!(of(0), Err(KeySetFault::NoUsableKey));
    let large = json!({ "keys": [key], "more": "x".repeat(super::BYTES_MAX) }).to_string();
    assert_eq!(KeySet::read(large.as_bytes()), Err(KeySetFault::TooLarge));
    for other in
        ["", "<html>", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}", "null", "\u{feff}{\"keys\":[]}"]
    {
        assert_eq!(KeySet::read(other.as_bytes()), Err(KeySetFault::NotASet), "{other}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_the_reader_panic(token in "[A-Za-z0-9_.=-]{0,200}", set in any::<Vec<u8>>()) {
        drop((Token::read(token.as_bytes()), KeySet::read(&set)));
    }
}

#[test]
fn p7_neither_a_token_nor_its_claims_show_in_debug_text() {
    let issuer = Issuer::new();
    let text = issuer.signed(
        &json!({ "alg": "ES256", "kid": "k-canary" }),
        &claims(|all| drop(all.insert("sub".into(), json!("canary")))),
    );
    let token = Token::read(text.as_bytes()).unwrap();
    let claims = token.verified(&issuer.keys("k-canary"), &trust(), NOW).unwrap();
    assert_eq!(format!("{token:?} {claims:?}"), "Token { algorithm: Es256, .. } Claims(…)");
}
