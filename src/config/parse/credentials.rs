//! `upstream.credentials`: what the gate's own calls authenticate with.

use super::super::file::{Table, Value};
use super::super::{BaseUrl, Credentials};
use super::external_files::{Outside, Unreadable};
use super::tls;

const FORM: &str = "{ apikey = SECRET }, { iam = { apikey = SECRET } }, { basic = { username = \"…\", password = SECRET } } \
    or { bearer = SECRET }, each SECRET being { file = \"…\" } or { env = \"…\" }";
const IAM_HOST: &str = "https://iam.cloud.ibm.com";
/// The token call's path, which clients of IAM may leave out of its URL.
const IAM_PATH: &str = "/identity/token";

pub(super) fn credentials(value: &Value<'_>, outside: &Outside<'_>) -> Option<Credentials> {
    if value.is_text() {
        value.fault("are written out; a secret never stands in this file", FORM);
        return None;
    }
    let table = value.table(FORM)?;
    let [apikey, iam, basic, bearer] = ["apikey", "iam", "basic", "bearer"].map(|key| table.get(key));
    table.close();
    let secret = |value: &Value<'_>| outside.secret(value, Unreadable::IsWarning);
    match (apikey, iam, basic, bearer) {
        (Some(apikey), None, None, None) => secret(&apikey).map(Credentials::ApiKey),
        (None, Some(iam), None, None) => with_iam(&iam.table(FORM)?, outside),
        (None, None, Some(basic), None) => with_basic(&basic.table(FORM)?, outside),
        (None, None, None, Some(bearer)) => secret(&bearer).map(Credentials::Bearer),
        (None, None, None, None) => {
            value.fault("name no way to authenticate", FORM);
            None
        }
        _ => {
            value.fault("name several ways to authenticate", FORM);
            None
        }
    }
}

fn with_iam(table: &Table<'_>, outside: &Outside<'_>) -> Option<Credentials> {
    let apikey = table.need("apikey", "{ file = \"…\" } or { env = \"…\" }");
    let url = match table.get("url") {
        Some(value) => {
            let url = url(&value);
            if url.as_ref().is_some_and(|url| !url.tls && !url.is_loopback()) {
                let what = "sends the API key over plain http";
                value.report.warning(&value.place, what, "https");
            }
            url
        }
        None => BaseUrl::parse(IAM_HOST).ok(),
    };
    let tls = tls::upstream(table, outside);
    if table.has("tls") && url.as_ref().is_some_and(|url| !url.tls) {
        table.report.fault(&table.place_of("tls"), "is read by nobody: the url is plain http", "https, or no `tls`");
    }
    table.close();
    let apikey = outside.secret(&apikey?, Unreadable::IsWarning)?;
    let url = url.map(|url| if url.path.is_empty() { BaseUrl { path: IAM_PATH.to_owned(), ..url } } else { url })?;
    Some(Credentials::Iam { apikey, url, tls: Box::new(tls) })
}

fn with_basic(table: &Table<'_>, outside: &Outside<'_>) -> Option<Credentials> {
    let username = table.need("username", "username = \"…\"");
    let password = table.need("password", "{ file = \"…\" } or { env = \"…\" }");
    table.close();
    let password = password.and_then(|value| outside.secret(&value, Unreadable::IsWarning));
    let username = username?;
    let form = "a user name without `:` and control characters";
    let text = username.text(form)?;
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        username.fault("cannot be sent", form);
        return None;
    }
    Some(Credentials::Basic { username: text.to_owned(), password: password? })
}

/// The URL of a service.
pub(super) fn url(value: &Value<'_>) -> Option<BaseUrl> {
    let form = "http:// or https://, a host, a port if it is not the scheme's own, and a path prefix";
    let text = value.text(form)?;
    BaseUrl::parse(text).map_err(|fault| value.fault(format!("is no URL of a service: {fault}"), form)).ok()
}
