//! The answers of the two token services.
//!
//! Clients decode the token as a JWT and read `iat` and `exp`, so it has three parts, although nobody checks the last.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde_json::{Value, json};

const LIFETIME_SECONDS: i64 = 3600;

/// IAM's answer to `POST /identity/token`.
pub(crate) fn iam() -> Value {
    json!({
        "access_token": token(),
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": LIFETIME_SECONDS,
        "expiration": Timestamp::now().as_second() + LIFETIME_SECONDS,
        "scope": "ibm openid",
    })
}

/// Cloud Pak for Data's answer; older clients read `accessToken`.
pub(crate) fn cloud_pak() -> Value {
    let token = token();
    json!({ "_messageCode_": "200", "message": "Success", "accessToken": token, "token": token })
}

fn token() -> String {
    let now = Timestamp::now().as_second();
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "stand-in" });
    let claims = json!({ "iam_id": "stand-in", "sub": "stand-in", "username": "user", "iat": now, "exp": now + LIFETIME_SECONDS });
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.{}", part(&header), part(&claims), BASE64URL_NOPAD.encode(b"no signature"))
}
