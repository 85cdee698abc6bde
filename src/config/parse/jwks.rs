//! Whose tokens are verified, and with which keys: `jwks`, `issuer` and `audience` beside `jwt`, and `override`.

use super::super::BaseUrl;
use super::super::file::{Table, Value};
use super::super::key_set_in;
use super::external_files::{Outside, chain_of};
use super::policy::Common;
use super::upstream::Draft;
use crate::domain::policy::{Missing, Policy};
use crate::domain::token::{KeysAt, Trust};

const FORM: &str = "jwks = { url = \"https://…/jwks.json\" } or { file = \"jwks.json\" }";
const URL_FORM: &str =
    "the address of the issuer's JSON Web Key Set, such as \"https://issuer.example/.well-known/jwks.json\"";
const TLS_FORM: &str = "tls = { ca = \"corp.pem\" }";
const VERIFIED: &str = "{ jwt = \"sub\", jwks = { url = \"https://…\" }, issuer = \"https://…\", audience = \"…\" }";

/// What stands beside `jwt`.
pub(super) struct Beside<'a> {
    jwks: Option<Value<'a>>,
    issuer: Option<Value<'a>>,
    audience: Option<Value<'a>>,
}

impl<'a> Beside<'a> {
    pub(super) fn of(entry: &Table<'a>) -> Self {
        let [jwks, issuer, audience] = ["jwks", "issuer", "audience"].map(|key| entry.get(key));
        Self { jwks, issuer, audience }
    }

    /// The first of them that is there.
    pub(super) fn any(&self) -> Option<&Value<'a>> {
        [&self.jwks, &self.issuer, &self.audience].into_iter().find_map(Option::as_ref)
    }

    /// Whose tokens count. `Ok(None)`: nothing is verified. What is wrong has been said with `Err`.
    pub(super) fn trust(&self, entry: &Value<'a>, outside: &Outside<'_>) -> Result<Option<Trust>, ()> {
        let Some(jwks) = &self.jwks else {
            return match self.any() {
                None => Ok(None),
                Some(value) => {
                    value.fault("has no effect without `jwks`: the token is not verified", VERIFIED);
                    Err(())
                }
            };
        };
        let keys = keys(jwks, outside);
        let Some(issuer) = &self.issuer else {
            entry.fault("names no issuer: the keys may be those of others, too", VERIFIED);
            return Err(());
        };
        let issuer = said(issuer, "what stands in `iss`, exactly");
        let audience = match &self.audience {
            Some(audience) => Some(said(audience, "what stands in `aud`, exactly").ok_or(())?),
            None => None,
        };
        Ok(Some(Trust { keys: keys.ok_or(())?, issuer: issuer.ok_or(())?, audience }))
    }
}

fn said(value: &Value<'_>, form: &str) -> Option<String> {
    let text = value.text(form)?;
    if text.trim().is_empty() {
        value.fault("is empty", form);
        return None;
    }
    Some(text.to_owned())
}

fn keys(value: &Value<'_>, outside: &Outside<'_>) -> Option<KeysAt> {
    let table = value.table(FORM)?;
    let (url, file, tls) = (table.get("url"), table.get("file"), table.get("tls"));
    table.close();
    match (url, file) {
        (Some(url), None) => at_url(&url, tls.as_ref(), outside),
        (None, Some(file)) => {
            if let Some(tls) = tls {
                tls.fault("has no effect: the keys are in a file", "no `tls`");
            }
            in_file(&file, outside)
        }
        (Some(_), Some(_)) => {
            value.fault("names two places", FORM);
            None
        }
        (None, None) => {
            value.fault("names no place", FORM);
            None
        }
    }
}

fn at_url(value: &Value<'_>, tls: Option<&Value<'_>>, outside: &Outside<'_>) -> Option<KeysAt> {
    let text = value.text(URL_FORM)?;
    let (base, query) = text.split_once('?').map_or((text, ""), |(base, query)| (base, query));
    let url =
        BaseUrl::parse(base).map_err(|fault| value.fault(format!("is no such address: {fault}"), URL_FORM)).ok()?;
    if !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        value.fault("is no such address: its query holds what no URL may hold", URL_FORM);
        return None;
    }
    if !url.tls && !url.is_loopback() {
        let what = "fetches the keys over plain http: whoever is on the way can show others, and name any customer";
        value.report.warning(&value.place, what, "https");
    }
    let ca = match tls {
        None => None,
        Some(tls) if !url.tls => {
            tls.fault("has no effect: the url is plain http", "https, or no `tls`");
            return None;
        }
        Some(tls) => {
            let table = tls.table(TLS_FORM)?;
            let ca = table.need("ca", TLS_FORM);
            table.close();
            Some(outside.certificates(&ca?)?)
        }
    };
    Some(KeysAt::Url { url: text.to_owned(), ca })
}

fn in_file(value: &Value<'_>, outside: &Outside<'_>) -> Option<KeysAt> {
    let path = outside.path(value)?;
    if let Some(fault) = outside.opens().then(|| key_set_in(&path).err()).flatten() {
        value.fault(chain_of(&fault), "a JSON Web Key Set with the issuer's public keys");
    }
    Some(KeysAt::File(path))
}

/// `override` stands in place of callers' labels, so that nothing but what was verified may be behind it.
pub(super) fn override_is_sound(common: &Common<'_>, drafts: &[Draft<'_>]) {
    for draft in drafts {
        let own = draft.policy_table.as_ref();
        let written = [own, common.table()].into_iter().flatten().find(|table| table.has("override"));
        if let Some(written) = written {
            judge(written, &draft.policy);
        }
        for rule in &draft.rules {
            let differs = rule.table().has("override") || rule.table().has("derive") || rule.table().has("missing");
            let written = Some(rule.table()).filter(|table| table.has("override")).or(written);
            if let (Some(written), true) = (written, differs) {
                judge(written, &rule.rule.policy);
            }
        }
    }
}

fn judge(written: &Table<'_>, policy: &Policy) {
    if !policy.overrides {
        return;
    }
    let place = written.place_of("override");
    if policy.missing != Missing::Derive {
        let right = "missing = \"derive\", or override = false";
        written.report.fault(&place, "takes the customer from a token, and `missing` is not \"derive\"", right);
    } else if let Some(other) = policy.derive.iter().find(|other| other.trust().is_none()) {
        let what = format!("puts what is derived in place of callers' labels, and nobody verifies {}", other.kind());
        written.report.fault(&place, what, format!("nothing in `derive` but {VERIFIED}, or override = false"));
    }
}
