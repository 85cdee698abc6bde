//! What an operator may not know of a file without a fault: what no delete reaches, and what nobody verifies.

use crate::config::{Loaded, Upstream};
use crate::domain::policy::{DeriveFrom, Missing};

pub(super) fn warnings(loaded: &Loaded) -> Vec<String> {
    let upstreams = loaded.config.upstreams.iter().zip(1_usize..);
    let live = upstreams.filter(|(upstream, _)| !upstream.retired);
    live.flat_map(|(upstream, number)| [search_skill(loaded, upstream, number), claims(upstream)]).flatten().collect()
}

/// An Assistant's search skill hands the customer's ID on, and what it sends is kept by Discovery.
fn search_skill(loaded: &Loaded, upstream: &Upstream, number: usize) -> Option<String> {
    let is_assistant = upstream.profile.name == "watson-assistant";
    let said = loaded.is_written(&format!("upstream[{number}].passes_to"));
    let what = "has no passes_to: data that a search skill sends to Discovery must be deleted there separately; name that \
        upstream, or write passes_to = [] where no assistant has a search skill";
    (is_assistant && !said).then(|| format!("{}: {what}", upstream.name))
}

fn claims(upstream: &Upstream) -> Option<String> {
    let policy = &upstream.policy;
    let derived =
        policy.missing == Missing::Derive && policy.derive.iter().any(|from| matches!(from, DeriveFrom::Jwt(_)));
    let what = "takes the customer's ID from an unverified claim: whoever writes a token can name another customer, unless \
        the service refuses such tokens";
    derived.then(|| format!("{}: {what}", upstream.name))
}

#[cfg(test)]
mod tests {
    use super::warnings;
    use crate::config::parse;

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
    }
}
