//! The gate's own calls: each must be a call that the profile itself knows, so that it cannot go astray.

use std::collections::BTreeMap;

use super::super::endpoint::Endpoint;
use super::super::erase::{API, EraseRule, QueryTemplate, Statuses, Success, VerifyRule, is_partial};
use super::super::fault::{FaultKind, ProfileFault};
use super::super::file::{EraseFile, OneOrMany, SuccessFile, VerifyFile};
use super::super::template::{self, PathTemplate};
use super::{Faults, LIST_MAX, NAME_BYTES_MAX, endpoints};

pub(super) fn erase(written: Option<&EraseFile>, endpoints: &[Endpoint], faults: &mut Faults) -> Option<EraseRule> {
    let Some(written) = written else {
        if endpoints.iter().any(|endpoint| endpoint.classes.erase()) {
            faults.add("erase", FaultKind::Conflict("is missing, though an endpoint is of class \"erase\""));
        }
        return None;
    };
    let Some((method, path)) = written.call.split_once(' ').filter(|(method, _)| template::is_method(method)) else {
        faults.malformed(
            "erase.call",
            &written.call,
            "a method in upper case, one space and a path, such as `DELETE /v{api}/user_data`",
        );
        return None;
    };
    let apis = apis(method, path, written.api, endpoints, faults);
    let query = query("erase.query", &written.query, faults);
    if !query.names_the_id() {
        faults.add("erase.query", FaultKind::Conflict("has no \"{id}\", so it would name no customer"));
    }
    if query.wants_version() != written.default_version.is_some() {
        faults.add(
            "erase.default_version",
            FaultKind::Conflict("goes with \"{version}\" in `erase.query`: both or neither"),
        );
    }
    let is_version =
        |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let default_version = written
        .default_version
        .as_deref()
        .and_then(|text| faults.text("erase.default_version", text, is_version, "a version such as \"2021-06-14\""));
    let success = success(written, faults);
    Some(EraseRule {
        method: method.into(),
        api: written.api,
        apis: apis.into(),
        default_version: default_version.map(Into::into),
        success,
        path: path.into(),
        query,
    })
}

/// The versions of the API at which the path is an endpoint of class *erase*.
fn apis(method: &str, path: &str, default: Option<u8>, endpoints: &[Endpoint], faults: &mut Faults) -> Vec<u8> {
    let versioned = path.contains(API);
    if versioned != default.is_some() {
        faults.add("erase.api", FaultKind::Conflict("goes with \"{api}\" in `erase.call`: both or neither"));
    }
    let deletes = |path: &str| {
        endpoints.iter().any(|endpoint| {
            endpoint.classes.erase() && *endpoint.method == *method && endpoint.template.to_string() == path
        })
    };
    let at = |api: u8| path.replace(API, &api.to_string());
    let wanted = default.map_or_else(|| path.to_owned(), at);
    if !deletes(&wanted) {
        faults.add(
            "erase.call",
            FaultKind::NoEndpoint {
                class: "erase",
                call: format!("{method} {}", wanted.chars().take(100).collect::<String>()),
            },
        );
    }
    if versioned { (0..=u8::MAX).filter(|api| deletes(&at(*api))).collect() } else { Vec::new() }
}

fn success(written: &EraseFile, faults: &mut Faults) -> Success {
    let statuses = match &written.success {
        None => Statuses::Any2xx,
        Some(SuccessFile::Words(words)) if words == "2xx" => Statuses::Any2xx,
        Some(SuccessFile::Words(words)) => {
            let statuses = words.split(',').take(LIST_MAX).map(|word| word.trim().parse().ok());
            Statuses::Listed(listed(statuses, words, faults))
        }
        Some(SuccessFile::Statuses(written_)) => {
            let statuses = written_.iter().take(LIST_MAX).map(|status| u16::try_from(*status).ok());
            let shown = written_.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            Statuses::Listed(listed(statuses, &shown, faults))
        }
    };
    let pointer = written.failure_pointer.as_deref();
    let is_pointer = |text: &str| text.starts_with('/');
    let failure = pointer
        .and_then(|text| faults.text("erase.failure_pointer", text, is_pointer, "a JSON pointer such as \"/errors\""));
    Success { statuses, failure: failure.map(Into::into) }
}

fn listed(statuses: impl Iterator<Item = Option<u16>>, shown: &str, faults: &mut Faults) -> Box<[u16]> {
    let whole = |status: Option<u16>| status.filter(|status| (200..300).contains(status) && !is_partial(*status));
    let statuses: Option<Vec<u16>> = statuses.map(whole).collect();
    let statuses = statuses.filter(|statuses| !statuses.is_empty());
    if statuses.is_none() {
        let right = "\"2xx\" or a list of statuses such as [200, 202, 204], without 203, 206, 207, 208 and 226, which tell \
                     of parts";
        faults.malformed("erase.success", shown, right);
    }
    statuses.unwrap_or_default().into()
}

fn query(at: &str, written: &BTreeMap<String, String>, faults: &mut Faults) -> QueryTemplate {
    let mut query = QueryTemplate::default();
    faults.bound(at, written.len(), LIST_MAX);
    for (name, value) in written.iter().take(LIST_MAX) {
        let at = format!("{at}.{name}");
        match faults.text(&at, value, |_| true, "text").map(|value| query.add(name, &value)) {
            None | Some(Ok(())) => {}
            Some(Err(placeholder)) if placeholder.is_empty() => {
                faults.malformed(at, value, "text with whole {placeholders}")
            }
            Some(Err(name)) => faults.add(
                at,
                FaultKind::UnknownVariable { name, known: ["id", "id:literal", "version"].into_iter().collect() },
            ),
        }
    }
    query
}

pub(super) fn verify(written: &OneOrMany, endpoints: &[Endpoint], faults: &mut Faults) -> Vec<VerifyRule> {
    let written = written.read();
    faults.bound("verify", written.len(), LIST_MAX);
    let mut rules = Vec::new();
    for (index, rule) in written.into_iter().take(LIST_MAX).enumerate() {
        let at = if index == 0 { "verify".to_owned() } else { format!("verify {}", index + 1) };
        match rule {
            Ok(rule) => rules.extend(probe(&rule, &at, endpoints, faults)),
            Err(error) => faults.0.push(ProfileFault::new(at, FaultKind::Form(error.message().to_owned()))),
        }
    }
    rules
}

fn probe(written: &VerifyFile, at: &str, endpoints: &[Endpoint], faults: &mut Faults) -> Option<VerifyRule> {
    let call = endpoints::call(&written.call, at, faults);
    let query = query(&format!("{at}.query"), &written.query, faults);
    if !query.names_the_id() {
        faults.add(
            format!("{at}.query"),
            FaultKind::Conflict("has no \"{id}\" or \"{id:literal}\", so it would find every customer's data"),
        );
    }
    let is_pointer = |text: &str| text.starts_with('/');
    faults.text(format!("{at}.absent"), &written.absent, is_pointer, "a JSON pointer such as \"/logs/0\"");
    let (method, template) = call?;
    let known = |endpoint: &&Endpoint| {
        endpoint.classes.log_query() && *endpoint.method == *method && endpoint.template == template
    };
    if endpoints.iter().find(known).is_none() {
        faults.add(format!("{at}.call"), FaultKind::NoEndpoint { class: "log-query", call: written.call.clone() });
    }
    let resource = resource_with(&template, endpoints);
    if resource.is_none() {
        faults.add(
            format!("{at}.call"),
            FaultKind::Conflict(
                "has variables that no `resource` of a labelled endpoint has, so nothing would give them a value",
            ),
        );
    }
    Some(VerifyRule {
        method: method.into(),
        template,
        resource: resource?,
        absent: written.absent.as_str().into(),
        query,
    })
}

/// The resource of labelled data that has just the variables of this probe.
fn resource_with(probe: &PathTemplate, endpoints: &[Endpoint]) -> Option<PathTemplate> {
    let resources = endpoints
        .iter()
        .filter_map(Endpoint::resource_template)
        .filter_map(|text| PathTemplate::parse_relative(text).ok());
    let mut fitting = resources.filter(|resource| probe.variables().eq(resource.variables()));
    fitting.next()
}
