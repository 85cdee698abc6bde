//! Where a customer's data is, as the admin API shows it: names and times for people, never an ID.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::views::rfc3339;
use crate::domain::UnixSeconds;

/// Where a customer's data is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recipients {
    /// Upstream by upstream, by name.
    pub recipients: Vec<Recipient>,
}

/// One upstream that holds a customer's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recipient {
    /// Its name.
    pub upstream: String,
    /// The instance there: its name, or the beginning of its key's fingerprint where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance: Option<String>,
    /// What stands between the upstream's URL and the service's own paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub path: Option<String>,
    /// It is not known whose credentials open it, and an erasure waits for them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_credentials: bool,
    /// In which of its resources, by name; what is in none that the profile names stands in `places` alone.
    pub resources: Vec<String>,
    /// The labels under which it knows the customer: an alias, or `the ID itself`, which is never repeated.
    pub labels: Vec<String>,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: UnixSeconds,
    /// When data was last labelled so, to within `store.lease`.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: UnixSeconds,
    /// Place by place.
    pub places: Vec<Place>,
}

/// One place where a customer's data is: a resource of an upstream, under one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// Which resource; none for what the upstream keeps outside of any that the profile names.
    #[schema(required)]
    pub resource: Option<String>,
    /// The label under which it is there: an alias, or `the ID itself`; none if that is not known any more.
    #[schema(required)]
    pub label: Option<String>,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: UnixSeconds,
    /// When data was last labelled so.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: UnixSeconds,
}

impl Recipient {
    /// What these places at one upstream, one at least, make together.
    pub(super) fn of(upstream: String, mut places: Vec<Place>) -> Self {
        places.sort_by(|a, b| (&a.resource, &a.label).cmp(&(&b.resource, &b.label)));
        let distinct = |texts: Vec<Option<String>>| -> Vec<String> {
            texts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
        };
        Self {
            upstream,
            instance: None,
            path: None,
            without_credentials: false,
            resources: distinct(places.iter().map(|place| place.resource.clone()).collect()),
            labels: distinct(places.iter().map(|place| place.label.clone()).collect()),
            since: places.iter().map(|place| place.since).min().unwrap_or_default(),
            last_seen: places.iter().map(|place| place.last_seen).max().unwrap_or_default(),
            places,
        }
    }
}
