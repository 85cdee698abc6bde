//! How many instances each upstream can have, and where the answer to that comes from.

use crate::config::Upstream;
use crate::domain::instance::{InstanceRule, names_an_instance};

/// In a sentence, without a full stop.
pub(super) fn instances(upstream: &Upstream) -> String {
    let config = &upstream.instances;
    if names_an_instance(&upstream.url.path) && config.named.is_empty() {
        return "one instance: its URL names it".to_owned();
    }
    let named: Vec<String> = config
        .named
        .iter()
        .map(|entry| {
            let by = entry.path.as_ref().map_or_else(|| "by its key".to_owned(), |path| format!("at {path}"));
            format!("{} {by}", entry.name)
        })
        .collect();
    let named = if named.is_empty() { String::new() } else { format!("{}; ", named.join(", ")) };
    format!("instances: {named}one for each path before the service's own, such as /instances/GUID; {}", keys(upstream))
}

/// What callers' keys say.
fn keys(upstream: &Upstream) -> &'static str {
    let config = &upstream.instances;
    if upstream.inject {
        return "callers' keys say nothing, since the gate's own goes with every call";
    }
    match config.rule {
        InstanceRule::One => "all keys open one, as instances = \"one\" says",
        InstanceRule::Closed => "a key that no instance names is refused",
        InstanceRule::Open => "data of a key that no instance names is recorded, and its erasure waits for credentials",
        InstanceRule::Unsaid if !config.named.is_empty() => {
            "data of a key that no instance names is recorded, and its erasure waits for credentials"
        }
        InstanceRule::Unsaid if upstream.has_customers_as_users() => "user names are customers and not keys",
        InstanceRule::Unsaid => {
            "nothing is said of keys: a single one is the upstream's own; from the second that the service takes erasures wait until \
             [[upstream.instance]] names them"
        }
    }
}
