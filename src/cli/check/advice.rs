//! What an operator may not know of a file without a fault: what no delete reaches, what nobody verifies, and whom nothing
//! tells apart.

use std::sync::Arc;

use crate::config::{Loaded, Upstream};
use crate::domain::instance::names_an_instance;
use crate::domain::policy::{DeriveFrom, Missing, Policy};
use crate::domain::token::Trust;

pub(super) fn warnings(loaded: &Loaded) -> Vec<String> {
    let upstreams = loaded.config.upstreams.iter().zip(1_usize..);
    let live = upstreams.filter(|(upstream, _)| !upstream.retired);
    let said = |(upstream, number): (&Arc<Upstream>, usize)| {
        let known = [one_key(loaded, upstream, number), claims(upstream), audience(upstream), user_name(upstream)];
        [search_skill(loaded, upstream, number)].into_iter().chain(known).collect::<Vec<_>>()
    };
    live.flat_map(said).flatten().collect()
}

/// An Assistant's search skill hands the customer's ID on, and what it sends is kept by Discovery.
fn search_skill(loaded: &Loaded, upstream: &Upstream, number: usize) -> Option<String> {
    let is_assistant = upstream.profile.name == "watson-assistant";
    let said = loaded.is_written(&format!("upstream[{number}].passes_to"));
    let what = "has no passes_to: data that a search skill sends to Discovery must be deleted there separately; name that \
        upstream, or write passes_to = [] where no assistant has a search skill";
    (is_assistant && !said).then(|| format!("{}: {what}", upstream.name))
}

/// A single key that callers show is taken for one of the instance that the upstream's own credentials open.
fn one_key(loaded: &Loaded, upstream: &Upstream, number: usize) -> Option<String> {
    let said = loaded.is_written(&format!("upstream[{number}].instances")) || !upstream.instances.named.is_empty();
    let keys_say_nothing = upstream.inject || upstream.has_customers_as_users();
    let by_url = names_an_instance(&upstream.url.path);
    let what = "has credentials, its url names no instance, and nothing is said of instances: if they open another instance \
        than the key of its callers, an erasure is accepted there, and the data stays; write instances = \"one\" if all keys \
        open one instance, else name each in an [[upstream.instance]], or let the url end in /instances/GUID";
    let is_unsaid = upstream.credentials.is_some() && !(said || keys_say_nothing || by_url);
    is_unsaid.then(|| format!("{}: {what}", upstream.name))
}

/// The places from which an upstream's policies take customers.
fn places(upstream: &Upstream) -> impl Iterator<Item = (&Policy, &DeriveFrom)> {
    let deriving = upstream.policies().filter(|policy| policy.missing == Missing::Derive);
    deriving.flat_map(|policy| policy.derive.iter().map(move |from| (policy, from)))
}

fn claims(upstream: &Upstream) -> Option<String> {
    let derived = places(upstream).any(|(_, from)| matches!(from, DeriveFrom::Jwt(_)));
    let what = "takes the customer's ID from an unverified claim: whoever writes a token can name another customer, unless \
        the service refuses such tokens; `jwks` and `issuer` beside it verify them";
    derived.then(|| format!("{}: {what}", upstream.name))
}

/// An issuer signs tokens for all of its clients.
fn audience(upstream: &Upstream) -> Option<String> {
    let open = |trust: &&Trust| trust.audience.is_none();
    let trust = places(upstream).filter_map(|(_, from)| from.trust()).find(open)?;
    let what = "has no audience: tokens that were made for any other service name customers here, too";
    Some(format!("{}: the token of issuer {} {what}", upstream.name, trust.issuer))
}

/// Clients of Watson's services log in as `apikey`, whoever the customer is.
fn user_name(upstream: &Upstream) -> Option<String> {
    let is_watson = upstream.profile.label.header == "x-watson-metadata";
    let (policy, _) = places(upstream).find(|(_, from)| is_watson && matches!(from, DeriveFrom::BasicUsername))?;
    let what = "takes the customer's ID from the user name, which is `apikey` for every client of this service that has an \
        API key:";
    let then = if policy.placeholders.has("apikey") {
        "those calls are refused (label_placeholder)"
    } else {
        "all those customers would be one, and an erasure of one would erase them all"
    };
    Some(format!("{}: {what} {then}", upstream.name))
}

#[cfg(test)]
mod tests {
    use super::warnings;
    use crate::config::parse;

    #[test]
    fn p11_that_a_single_key_is_taken_for_the_upstreams_own_is_said_aloud() {
        let said = |path: &str, more: &str| {
            let text = format!(
                "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"one\"\nprofile = \"watson-assistant\"\n\
                 url = \"https://localhost{path}\"\nroute = {{ path = \"/one\" }}\npasses_to = []\n{more}\n"
            );
            warnings(&parse(&text, std::path::Path::new("")).unwrap()).join("\n")
        };
        let key = "credentials = { apikey = { env = \"PATH\" } }\n";
        let warned = said("", key);
        assert!(warned.starts_with("one: has credentials, its url names no instance"), "{warned}");
        for way_out in ["instances = \"one\"", "[[upstream.instance]]", "/instances/GUID"] {
            assert!(warned.contains(way_out), "{warned}");
        }
        assert_eq!(said("", ""), "", "the callers' own are used then");
        assert_eq!(said("/instances/G1", key), "");
        let policy = "policy = { missing = \"derive\", derive = [{ basic = \"username\" }] }";
        assert!(!said("", &format!("{key}{policy}")).contains("names no instance"));
        let entry = "instance = [{ name = \"a\", credentials = { apikey = { env = \"PATH\" } } }]";
        for more in ["instances = \"one\"", "instances = \"open\"", "retired = true", "inject = true", entry] {
            let authorize = if more.starts_with("inject") { "erasure = { authorize = \"open\" }\n" } else { "" };
            assert_eq!(said("", &format!("{key}{authorize}{more}")), "", "{more}");
        }
    }

    #[test]
    fn p11_what_no_delete_reaches_and_what_nobody_verifies_is_said() {
        let said = |more: &str| {
            let text = format!(
                "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"one\"\nprofile = \"watson-assistant\"\n\
                 url = \"http://127.0.0.1:1\"\nroute = {{ path = \"/one\" }}\n{more}\n"
            );
            warnings(&parse(&text, std::path::Path::new("")).unwrap()).join("\n")
        };
        assert!(said("").contains("sends to Discovery must be deleted there separately"));
        assert_eq!(said("passes_to = []"), "");
        assert_eq!(said("retired = true"), "");
        let claim = "passes_to = []\npolicy = { missing = \"derive\", derive = [{ jwt = \"sub\" }] }";
        assert!(said(claim).contains("unverified claim"));
        let verified = |more: &str| {
            let place = format!("{{ jwt = \"sub\", jwks = {{ file = \"k\" }}, issuer = \"i\"{more} }}");
            said(&format!("passes_to = []\npolicy = {{ missing = \"derive\", derive = [{place}] }}"))
        };
        assert_eq!(verified(", audience = \"a\""), "");
        assert!(verified("").contains("one: the token of issuer i has no audience"));
        let names = "passes_to = []\npolicy = { missing = \"derive\", derive = [{ basic = \"username\" }]";
        assert!(said(&format!("{names} }}")).contains("those calls are refused (label_placeholder)"));
        let own = said(&format!("{names}, placeholders = [\"undefined\"] }}"));
        assert!(own.contains("all those customers would be one"), "{own}");
        let in_a_rule = "when = { method = \"POST\" }, missing = \"derive\", derive = [{ basic = \"username\" }]";
        assert!(said(&format!("passes_to = []\npolicy = {{ rule = [{{ {in_a_rule} }}] }}")).contains("`apikey`"));
    }
}
