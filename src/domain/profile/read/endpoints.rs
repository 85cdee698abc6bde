//! The list of endpoints: each for itself, then all together.

use super::super::classes::Classes;
use super::super::endpoint::{Endpoint, Resource, When};
use super::super::fault::FaultKind;
use super::super::file::{EndpointFile, WhenFile};
use super::super::template::{self, PathTemplate, TemplateFault};
use super::{Faults, LIST_MAX, NAME_BYTES_MAX};

/// The longest list of endpoints.
const ENDPOINTS_MAX: usize = 1024;

/// Reads them; those with a fault are left out, and reported.
pub(super) fn read(written: &[EndpointFile], honours_opt_out: bool, faults: &mut Faults) -> Vec<Endpoint> {
    if written.is_empty() {
        faults.add("endpoint", FaultKind::Missing);
    }
    faults.bound("endpoint", written.len(), ENDPOINTS_MAX);
    let mut endpoints: Vec<(usize, Endpoint)> = Vec::new();
    for (index, written) in written.iter().take(ENDPOINTS_MAX).enumerate() {
        let number = index + 1;
        let at = format!("endpoint {number} (`{}`)", written.call.chars().take(100).collect::<String>());
        let Some(endpoint) = one(written, &at, honours_opt_out, faults) else { continue };
        match endpoints.iter().find(|(_, other)| same_requests(other, &endpoint)) {
            Some((other, _)) => faults.add(at, FaultKind::SameCall(*other)),
            None => endpoints.push((number, endpoint)),
        }
    }
    endpoints.into_iter().map(|(_, endpoint)| endpoint).collect()
}

fn same_requests(one: &Endpoint, other: &Endpoint) -> bool {
    one.method == other.method
        && one.classes.websocket() == other.classes.websocket()
        && one.template.same_shape(&other.template)
}

fn one(written: &EndpointFile, at: &str, honours_opt_out: bool, faults: &mut Faults) -> Option<Endpoint> {
    let call = call(&written.call, at, faults);
    let mut classes = classes(&written.is, at, faults);
    if classes.labelled() && honours_opt_out {
        // Data that is worth a label is data to opt out.
        classes = classes.with(Classes::OPT_OUT);
    }
    let when = written.when.as_ref().map(|when| condition(when, at, faults));
    let (method, template) = call?;
    let resource = written.resource.as_deref().map(|text| resource(text, &template, at, faults));
    judge(classes, &method, written, honours_opt_out, at, faults);
    let api = template.api();
    let full = format!("{method} {template}").into();
    Some(Endpoint {
        written: full,
        method: method.into(),
        template,
        classes,
        when,
        resource: resource.flatten(),
        api,
        contested: false,
    })
}

/// Classes that do not go together.
fn judge(classes: Classes, method: &str, written: &EndpointFile, honours_opt_out: bool, at: &str, faults: &mut Faults) {
    let mut conflict = |wrong: bool, why| {
        if wrong {
            faults.add(format!("{at}: is"), FaultKind::Conflict(why));
        }
    };
    conflict(classes.websocket() && method != "GET", "\"websocket\" is for GET, with which a handshake begins");
    conflict(classes.opt_out() && !honours_opt_out, "\"opt-out\" needs the profile's `opt_out`, which says how");
    conflict(
        classes.labelled() && classes.carries_data(),
        "\"carries-data\" is for data that cannot be labelled; leave out one of the two",
    );
    conflict(
        classes.erase() && classes.labelled(),
        "\"erase\" and \"labelled\" cannot both be: a delete stores nothing",
    );
    conflict(
        written.when.is_some() && !classes.labelled(),
        "`when` says when data is labelled, so it needs \"labelled\"",
    );
    conflict(
        written.resource.is_some() && !classes.labelled(),
        "`resource` is remembered of labelled data, so it needs \"labelled\"",
    );
}

/// `METHOD /path`.
pub(super) fn call(text: &str, at: &str, faults: &mut Faults) -> Option<(String, PathTemplate)> {
    let at = format!("{at}: call");
    let Some((method, path)) = text.split_once(' ') else {
        faults.malformed(at, text, CALL);
        return None;
    };
    if !template::is_method(method) {
        faults.malformed(&at, method, "a method in upper case other than HEAD (which matches like GET)");
    }
    path_template(PathTemplate::parse(path), path, &at, faults).map(|template| (method.to_owned(), template))
}

const CALL: &str =
    "a method, one space and a path of whole segments, such as `POST /v1/workspaces/{workspace}/message`";

fn path_template(
    read: Result<PathTemplate, TemplateFault>,
    text: &str,
    at: &str,
    faults: &mut Faults,
) -> Option<PathTemplate> {
    match read {
        Ok(template) => return Some(template),
        Err(TemplateFault::Malformed) => {
            faults.malformed(at, text, "a path of plain segments (letters, digits and -._~:@) and {variables}")
        }
        Err(TemplateFault::TooLong) => {
            faults.add(at, FaultKind::TooLarge { bound: template::SEGMENTS_MAX, unit: "segments" })
        }
        Err(TemplateFault::Repeated(name)) => faults.add(at, FaultKind::RepeatedVariable(name)),
    }
    None
}

fn classes(written: &[String], at: &str, faults: &mut Faults) -> Classes {
    faults.bound(format!("{at}: is"), written.len(), LIST_MAX);
    written.iter().take(LIST_MAX).filter_map(|name| faults.one_of(format!("{at}: is"), name, &Classes::NAMED)).collect()
}

fn condition(written: &WhenFile, at: &str, faults: &mut Faults) -> When {
    let at = format!("{at}: when.query");
    faults.bound(&at, written.query.len(), LIST_MAX);
    if written.query.is_empty() {
        faults.add(&at, FaultKind::Conflict("names no parameter, so the data would never be labelled"));
    }
    let is_parameter = |name: &str| {
        (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"&;=%+#".contains(&byte))
    };
    for name in &written.query {
        faults.text(&at, name, is_parameter, "the decoded name of a query parameter");
    }
    When { query: written.query.iter().map(|name| name.as_str().into()).collect() }
}

fn resource(text: &str, path: &PathTemplate, at: &str, faults: &mut Faults) -> Option<Resource> {
    let at = format!("{at}: resource");
    if text.is_empty() {
        return None;
    }
    let template = path_template(PathTemplate::parse_relative(text), text, &at, faults)?;
    match Resource::bind(&template, path) {
        Ok(resource) => Some(resource),
        Err(name) => {
            faults.add(at, FaultKind::UnknownVariable { name, known: path.variables().collect() });
            None
        }
    }
}
