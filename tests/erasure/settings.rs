//! What the worlds of these tests are configured with.

use std::sync::Arc;
use std::time::Duration;

use forgetgate::config::{
    Authorize, BaseUrl, Credentials, EraseBy, Erasure, Limits, OpenWebsockets, Route, Secret, Upstream, UpstreamTls,
};
use forgetgate::domain::policy::Policy;
use forgetgate::domain::profile::Profile;

/// A profile whose deletes settle after an hour, or as `more` says.
pub(crate) fn profile(name: &str, more: &str) -> Arc<Profile> {
    let settle = if more.contains("settle") { "" } else { "settle = \"1h\"" };
    let text = format!(
        r#"
        name = "{name}"
        source = "these tests"
        error = "watson"
        label = {{ header = "X-Watson-Metadata", field = "customer_id", grammar = "watson" }}
        {settle}
        {more}
        [erase]
        call = "DELETE /v{{api}}/user_data"
        api = 1
        query = {{ customer_id = "{{id}}", version = "{{version}}" }}
        default_version = "2020-01-01"
        success = "2xx"
        [[endpoint]]
        call = "POST /v1/message"
        is = ["labelled"]
        [[endpoint]]
        call = "DELETE /v1/user_data"
        is = ["erase"]
        [[endpoint]]
        call = "DELETE /v2/user_data"
        is = ["erase"]
        "#
    );
    Arc::new(Profile::from_toml(&text).unwrap_or_else(|faults| panic!("{faults:?}")))
}

/// The same with another profile and, as in a file that says nothing of them, with what that says of deletes.
pub(crate) fn with_profile(profile: Arc<Profile>, upstream: Upstream) -> Upstream {
    let (settle, deletes_per_minute) = (profile.settle, profile.deletes_per_minute);
    Upstream { profile, settle, deletes_per_minute, ..upstream }
}

/// An upstream without anything special.
pub(crate) fn upstream(name: &str, url: &BaseUrl) -> Upstream {
    let profile = profile("plain", "");
    Upstream {
        name: name.into(),
        url: url.clone(),
        route: Route::default(),
        credentials: None,
        group: "default".into(),
        retired: false,
        forwarded: false,
        inject: false,
        webchat_opt_out: false,
        version: None,
        instances: forgetgate::config::Instances::default(),
        erase_api: Vec::new(),
        held_labels_before: false,
        passes_to: Vec::new(),
        erase: EraseBy::default(),
        http2: forgetgate::config::Http2::default(),
        proxy: Default::default(),
        limits: Default::default(),
        erasure: Default::default(),
        tls: UpstreamTls::default(),
        plan: None,
        region: None,
        created: None,
        settle: profile.settle,
        deletes_per_minute: profile.deletes_per_minute,
        profile,
        policy: Policy::default(),
        rules: Vec::new(),
    }
}

/// Credentials that show up as `Basic Z2F0ZTpzZWNyZXQ=`.
pub(crate) fn own_credentials(folder: &std::path::Path) -> Credentials {
    let path = folder.join("password");
    std::fs::write(&path, "secret").unwrap();
    Credentials::Basic { username: "gate".into(), password: Secret::file(path) }
}

pub(crate) const OWN: &str = "Basic Z2F0ZTpzZWNyZXQ=";

pub(crate) fn limits() -> Limits {
    Limits {
        connections_max: 100,
        in_flight_max: 100,
        headers_max: 100,
        header_bytes_max: 65_536,
        inspected_body_bytes_max: 65_536,
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        body_stall_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(5),
        ..Limits::default()
    }
}

pub(crate) fn erasure() -> Erasure {
    Erasure {
        authorize: Authorize::Open,
        deadline: Duration::from_secs(30 * 86_400),
        erasures_per_minute: 60,
        barrier_timeout: Duration::from_secs(10),
        retention: Duration::from_secs(1_000 * 86_400),
        open_websockets: OpenWebsockets::Wait,
    }
}
