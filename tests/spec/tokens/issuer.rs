//! An issuer of tokens: keys of its own, and a server that shows what it is told to.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::upstream::Upstream;

pub(super) const ISSUER: &str = "https://issuer.test";
pub(super) const AUDIENCE: &str = "gate";

/// A key pair on P-256, under a name.
pub(super) struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(super) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    fn shown(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": x, "y": y })
    }

    /// A token with these claims over good ones.
    pub(super) fn token(&self, more: &Value) -> String {
        self.signed(&json!({ "alg": "ES256", "kid": self.id, "typ": "JWT" }), more)
    }

    pub(super) fn signed(&self, header: &Value, more: &Value) -> String {
        let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "u-1", "exp": 4_102_444_800_u64 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let signed = format!("{}.{}", part(header), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    /// A token for this customer, as a header line.
    pub(super) fn line(&self, customer: &str) -> String {
        bearer(&self.token(&json!({ "sub": customer })))
    }
}

pub(super) fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// A set of these keys.
pub(super) fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.shown()).collect::<Vec<_>>() }).to_string()
}

pub(super) fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nCache-Control: max-age=3600\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Where the keys are shown.
pub(super) struct Server {
    pub(super) service: Upstream,
    answer: Arc<Mutex<Option<String>>>,
}

impl Server {
    /// Shows these keys.
    pub(super) fn showing(keys: &[&Key]) -> Self {
        Self::answering(&answer(200, &set(keys)))
    }

    pub(super) fn answering(answer: &str) -> Self {
        let answer = Arc::new(Mutex::new(Some(answer.to_owned())));
        let shown = Arc::clone(&answer);
        let service = Upstream::serving(move |connection| {
            if connection.request().is_some() {
                let shown = shown.lock().unwrap().clone();
                shown.into_iter().for_each(|shown| connection.write(shown));
            }
        });
        Self { service, answer }
    }

    pub(super) fn show(&self, keys: &[&Key]) {
        *self.answer.lock().unwrap() = Some(answer(200, &set(keys)));
    }

    /// From now on connections end without an answer.
    pub(super) fn away(&self) {
        *self.answer.lock().unwrap() = None;
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/keys", self.service.address)
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.service.seen().len()
    }
}

/// A place of `derive` that is verified with the keys there.
pub(super) fn verified(jwks: &str) -> String {
    format!("{{ jwt = \"sub\", jwks = {jwks}, issuer = \"{ISSUER}\", audience = \"{AUDIENCE}\" }}")
}

/// Lines of a policy: these places, and `override`.
pub(super) fn policy(places: &str, overrides: bool) -> &'static str {
    format!("missing = \"derive\"\nderive = [ {places} ]\noverride = {overrides}").leak()
}
