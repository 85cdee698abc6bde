//! `upstream.proxy`: the HTTP proxy on the way to a service.

use super::super::file::{Table, Value};
use super::super::{BaseUrl, HttpProxy, ProxyLogin};
use super::credentials::url;
use super::external_files::{Outside, Unreadable};

const FORM: &str =
    "{ url = \"http://proxy.example:3128\", username = \"…\", password = { file = \"…\" } }, \"env\" or \"none\"";

pub(super) fn http_proxy(table: &Table<'_>, outside: &Outside<'_>) -> HttpProxy {
    let Some(value) = table.get("proxy") else { return HttpProxy::default() };
    if value.is_text() {
        return value.choice(&[("env", HttpProxy::Env), ("none", HttpProxy::None)], &[]).unwrap_or_default();
    }
    value.table(FORM).and_then(|table| at(&value, &table, outside)).unwrap_or_default()
}

fn at(value: &Value<'_>, table: &Table<'_>, outside: &Outside<'_>) -> Option<HttpProxy> {
    let at = table.need("url", "url = \"http://proxy.example:3128\"");
    let username = table.get("username").and_then(|value| value.text("a user name").map(ToOwned::to_owned));
    let password = table.get("password");
    let password_said = password.is_some();
    let password = password.and_then(|value| outside.secret(&value, Unreadable::IsWarning));
    table.close();
    let at = at?;
    let url: BaseUrl = url(&at)?;
    if url.tls || !url.path.is_empty() {
        at.fault("is no plain HTTP proxy", "http://, a host and a port, and nothing behind them");
        return None;
    }
    if username.is_some() != password_said {
        value.fault("has half of what the gate logs in with", "`username` and `password`, or neither");
        return None;
    }
    if username.as_deref().is_some_and(|name| name.contains(':') || name.chars().any(char::is_control)) {
        value.fault("has a user name with a colon or a control character in it", FORM);
        return None;
    }
    let login = username.zip(password).map(|(username, password)| ProxyLogin { username, password });
    Some(HttpProxy::At { url, login })
}
