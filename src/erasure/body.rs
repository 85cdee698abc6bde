//! A job's body as the store keeps it: JSON with a version, sealed as a whole, since people's reasons and notes may name
//! the customer (P7).
//!
//! A body of a newer version is refused by name, never taken for a damaged one. Within a version every field is known.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::erasure::{Job, Where, WhereId};
use crate::domain::{Instance, UnixSeconds};
use crate::store::StoreError;

/// The version in which bodies are written. One more for every change of what [`Job`] is made of. Version 2 has the place
/// in line and the mark of each target, and the mark of each intent; version 3 the instances.
const VERSION: u32 = 3;

/// What is kept under a job's ID.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// An erasure, with its ID until it is over; sealed once more, so that it is opened only where it is needed.
    Erasure { job: Box<Job>, sealed: Option<String> },
    /// Another request for the same customer, which attached to that erasure under an ID of its own.
    Attached { to: Uuid, note: Note },
}

/// What a request that attached said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// When it was accepted.
    pub(super) received: UnixSeconds,
    /// When the person asked, if the requester said so.
    pub(super) submitted: Option<UnixSeconds>,
    /// Why, in the requester's words.
    pub(super) reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<B> {
    v: u32,
    body: B,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

pub(super) fn write(body: &Body) -> Option<Vec<u8>> {
    serde_json::to_vec(&Versioned { v: VERSION, body }).ok()
}

pub(super) fn read(bytes: &[u8]) -> Result<Body, StoreError> {
    let version = serde_json::from_slice::<Version>(bytes).map(|version| version.v);
    let body = match version {
        Ok(1 | 2) => without_instances(bytes),
        _ => serde_json::from_slice::<Versioned<Body>>(bytes).ok(),
    };
    match body {
        Some(Versioned { v: VERSION, body }) => Ok(body),
        Some(_) | None => {
            let newer = version.is_ok_and(|version| version > VERSION);
            let what = if newer { "an erasure that a newer version of Forgetgate has written" } else { "an erasure" };
            Err(StoreError::Corrupt { what })
        }
    }
}

/// Before there were instances: everything was for the upstream itself, and a target had one version of the API, which was
/// no part of its name.
fn without_instances(bytes: &[u8]) -> Option<Versioned<Body>> {
    let mut whole: Value = serde_json::from_slice(bytes).ok()?;
    *whole.get_mut("v")? = VERSION.into();
    if let Some(job) = whole.pointer_mut("/body/erasure/job") {
        for target in job.get_mut("targets")?.as_array_mut()? {
            let target = target.as_object_mut()?;
            let api = target.remove("api")?;
            target.insert("place".into(), serde_json::to_value(Where::default()).ok()?);
            let key = target.get_mut("key")?.as_object_mut()?;
            key.insert("api".into(), api);
            key.insert("instance".into(), serde_json::to_value(WhereId::default()).ok()?);
        }
        for list in ["intents", "covered"] {
            for intent in job.get_mut(list)?.as_array_mut()? {
                if let Some(addressed) = intent.get_mut("addressed").and_then(Value::as_object_mut) {
                    addressed.insert("instance".into(), serde_json::to_value(Instance::default()).ok()?);
                }
            }
        }
    }
    serde_json::from_value(whole).ok()
}

#[cfg(test)]
mod tests {
    use super::{Body, Where, read};

    /// As version 1 wrote it, every field present. It is never changed: a new version gets a text of its own.
    const OF_VERSION_1: &str = include_str!("body_v1.json");

    /// As version 2 wrote it.
    const OF_VERSION_2: &str = include_str!("body_v2.json");

    /// As version 3 wrote it.
    const OF_VERSION_3: &str = include_str!("body_v3.json");

    #[test]
    fn p5_bodies_of_every_released_version_are_read_and_those_of_a_newer_one_are_refused_by_name() {
        for (version, text) in [(1, OF_VERSION_1), (2, OF_VERSION_2), (3, OF_VERSION_3)] {
            let Ok(Body::Erasure { job, sealed }) = read(text.as_bytes()) else { panic!("{version} does not read") };
            assert_eq!((job.targets.len(), job.intents.len(), job.decisions.len(), job.covered.len()), (2, 1, 1, 1));
            assert!(sealed.is_some() && job.targets[1].closed.is_some());
            assert_eq!(job.targets[0].key.api, Some(2));
            assert_eq!(job.targets.iter().all(|target| target.place == Where::default()), version < 3);
            assert_eq!(job.targets.iter().all(|target| target.mark.is_some() && target.asked.is_some()), version >= 2);
        }

        let newer = OF_VERSION_3.replacen("\"v\":3", "\"v\":4", 1);
        let error = read(newer.as_bytes()).err().unwrap().to_string();
        assert!(error.contains("a newer version"), "{error}");
        let unknown = OF_VERSION_1.replacen("\"topology\"", "\"topologies\"", 1);
        assert!(read(unknown.as_bytes()).is_err());
    }
}
