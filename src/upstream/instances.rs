//! The instances of one upstream at run time: whose key a caller shows, and what opens each.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::time::{Duration, Instant as Clock};

use super::credentials::Authenticator;
use super::tls::RootsError;
use crate::config::{Credentials, InstanceEntry, Limits, Renew, Upstream};
use crate::domain::erasure::{self, NamedInstance};
use crate::domain::instance::{API_KEY_USER, FingerprintKey, InstanceRule, names_an_instance};
use crate::domain::{Fingerprint, Instance};

/// How long what the secrets' files say is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Instances that are known to be answered: as many as the store's list holds.
const ANSWERED_MAX: usize = 1024;

/// One upstream's.
#[derive(Debug)]
pub struct Instances {
    key: FingerprintKey,
    rule: InstanceRule,
    url_names_one: bool,
    named: Vec<(InstanceEntry, Authenticator)>,
    own: Option<Credentials>,
    /// Whether callers' keys are the gate's own, or no sign of an instance.
    keys_say_nothing: bool,
    last: Mutex<Option<(Clock, Arc<erasure::Instances>)>>,
    /// Those of which the store knows, or is being told, that the service has taken something there.
    answered: RwLock<BTreeSet<Instance>>,
}

impl Instances {
    /// From an upstream's configuration.
    ///
    /// # Errors
    /// Where IAM's TLS cannot be prepared.
    pub fn new(upstream: &Upstream, key: FingerprintKey, limits: &Limits) -> Result<Self, RootsError> {
        let named = upstream.instances.named.iter().map(|entry| {
            Authenticator::new(entry.credentials.as_ref(), limits).map(|authenticator| (entry.clone(), authenticator))
        });
        Ok(Self {
            key,
            rule: upstream.instance_rule(),
            url_names_one: names_an_instance(&upstream.url.path),
            named: named.collect::<Result<_, _>>()?,
            own: upstream.credentials.clone(),
            keys_say_nothing: upstream.inject || upstream.instance_rule() == InstanceRule::One,
            last: Mutex::default(),
            answered: RwLock::default(),
        })
    }

    /// Whether the store is told already that the service has taken something there. The upstream itself needs no
    /// telling.
    #[must_use]
    pub fn is_answered(&self, instance: &Instance) -> bool {
        instance.is_default() || self.answered.read().contains(instance)
    }

    /// The store is being told. Those beyond the bound are told of again with each request.
    pub fn answered(&self, instance: &Instance) {
        let mut answered = self.answered.write();
        if answered.len() < ANSWERED_MAX {
            answered.insert(instance.clone());
        }
    }

    /// The store could not be told.
    pub fn unanswered(&self, instance: &Instance) {
        self.answered.write().remove(instance);
    }

    /// Whether a caller's key says which instance a request below this prefix is for.
    #[must_use]
    pub fn key_matters(&self, prefix: &str) -> bool {
        !self.keys_say_nothing && !self.url_names_one && !names_an_instance(prefix)
    }

    /// Whose key this is.
    #[must_use]
    pub fn fingerprint(&self, authorization: &[u8]) -> Option<Fingerprint> {
        self.key.of_authorization(authorization)
    }

    /// Whose key an API key is that stands alone.
    #[must_use]
    pub fn fingerprint_of_key(&self, key: &str) -> Fingerprint {
        self.key.of(API_KEY_USER, key)
    }

    /// Whether data may be sent there: not where only instances with a name are known, and this is none.
    #[must_use]
    pub fn admit(&self, instance: &Instance) -> bool {
        // A key may have been changed a moment ago.
        self.rule != InstanceRule::Closed || self.known().names(instance) || self.look().names(instance)
    }

    /// What the configuration says of them at this moment; what traffic has shown is not in it. Reads secrets' files that
    /// have changed.
    #[must_use]
    pub fn known(&self) -> Arc<erasure::Instances> {
        let last = self.last.lock().clone();
        match last {
            Some((at, known)) if at.elapsed() < BELIEVED => known,
            _ => self.look(),
        }
    }

    fn look(&self) -> Arc<erasure::Instances> {
        let named = |(entry, _): &(InstanceEntry, Authenticator)| NamedInstance {
            name: (*entry.name).into(),
            path: entry.path.as_deref().map(Into::into),
            keys: entry.keys().filter_map(|credentials| self.of_credentials(credentials)).collect(),
        };
        let known = Arc::new(erasure::Instances {
            rule: self.rule,
            named: self.named.iter().map(named).collect(),
            has_own: self.own.is_some(),
            own: self.own.as_ref().and_then(|own| self.of_credentials(own)),
            url_names_one: self.url_names_one,
            seen: Vec::new(),
            refused: Vec::new(),
            more: false,
        });
        *self.last.lock() = Some((Clock::now(), Arc::clone(&known)));
        known
    }

    /// What a caller with these credentials shows. A secret that cannot be read is nobody's.
    fn of_credentials(&self, credentials: &Credentials) -> Option<Fingerprint> {
        let (user, secret) = match credentials {
            Credentials::ApiKey(key) | Credentials::Iam { apikey: key, .. } => (API_KEY_USER, key),
            Credentials::Basic { username, password } => (username.as_str(), password),
            Credentials::Bearer(_) => return None,
        };
        secret.read().ok().map(|text| self.key.of(user, text.expose()))
    }

    /// What opens the instance of this name; `None` where the configuration has none, or nothing that opens it.
    #[must_use]
    pub fn authenticator(&self, name: &str) -> Option<&Authenticator> {
        let found = self.named.iter().find(|(entry, _)| *entry.name == *name);
        found.filter(|(entry, _)| entry.credentials.is_some()).map(|(_, authenticator)| authenticator)
    }

    /// Whether the instance of this name is told by its path, and opened by the credentials of the upstream.
    #[must_use]
    pub fn is_by_path(&self, name: &str) -> bool {
        let found = self.named.iter().find(|(entry, _)| *entry.name == *name);
        found.is_some_and(|(entry, _)| entry.path.is_some() && entry.keys().next().is_none())
    }

    /// What has to follow its files.
    pub fn renewed(&self) -> impl Iterator<Item = &dyn Renew> {
        self.named.iter().filter_map(|(_, authenticator)| authenticator.renewed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_told_of_once_and_again_only_if_that_failed_or_beyond_the_bound() {
        let text = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"one\"\nprofile = \"watson-assistant\"\n\
                    url = \"http://127.0.0.1:1\"\nroute = { path = \"/one\" }\n";
        let config = crate::config::parse(text, std::path::Path::new("")).unwrap().config;
        let all = Instances::new(&config.upstreams[0], FingerprintKey::new(&[7; 32]), &config.limits).unwrap();
        let at = |number: usize| Instance { prefix: format!("/instances/{number}").into(), caller: None };
        assert!(all.is_answered(&Instance::default()), "the upstream itself");
        assert!(!all.is_answered(&at(0)));
        (0..=ANSWERED_MAX).for_each(|number| all.answered(&at(number)));
        assert!(all.is_answered(&at(0)) && !all.is_answered(&at(ANSWERED_MAX)));
        all.unanswered(&at(0));
        assert!(!all.is_answered(&at(0)));
    }
}
