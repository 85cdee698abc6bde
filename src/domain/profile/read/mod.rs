//! From a profile as written to a [`Profile`]: every check, every fault, one pass.
//!
//! Checks go on after a fault with what they have, so that an operator mends a file once and not ten times.

mod calls;
mod endpoints;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::endpoint::Endpoint;
use super::extends::extended;
use super::fault::{FaultKind, Known, ProfileFault};
use super::file::{LabelFile, OptOutFile, ProfileFile};
use super::matching::Matcher;
use super::{ErrorShape, GrammarName, LabelRule, OptOutRule, Profile};

/// The longest profile file, in bytes.
const FILE_BYTES_MAX: usize = 1 << 20;
/// The longest name of anything, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The longest free text, in bytes.
const TEXT_BYTES_MAX: usize = 2000;
/// The longest list that is not the list of endpoints.
const LIST_MAX: usize = 32;

/// The faults found so far.
#[derive(Debug, Default)]
struct Faults(Vec<ProfileFault>);

impl Faults {
    fn add(&mut self, at: impl Into<String>, what: FaultKind) {
        self.0.push(ProfileFault::new(at, what));
    }

    fn malformed(&mut self, at: impl Into<String>, found: &str, expected: &'static str) {
        let found = found.chars().take(NAME_BYTES_MAX).collect();
        self.add(at, FaultKind::Malformed { found, expected });
    }

    /// A text that must be of a form; reported, and `None`, if it is not.
    fn text(
        &mut self,
        at: impl Into<String>,
        text: &str,
        is_form: fn(&str) -> bool,
        expected: &'static str,
    ) -> Option<String> {
        if text.len() > TEXT_BYTES_MAX {
            self.add(at, FaultKind::TooLarge { bound: TEXT_BYTES_MAX, unit: "bytes" });
            return None;
        }
        if !is_form(text) {
            self.malformed(at, text, expected);
            return None;
        }
        Some(text.to_owned())
    }

    /// One of a closed list.
    fn one_of<T: Copy>(&mut self, at: impl Into<String>, text: &str, known: &[(&'static str, T)]) -> Option<T> {
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Known = known.iter().map(|(name, _)| *name).collect();
            self.add(at, FaultKind::Unknown { found: text.chars().take(NAME_BYTES_MAX).collect(), known });
        }
        found
    }

    fn bound(&mut self, at: impl Into<String>, length: usize, bound: usize) {
        if length > bound {
            self.add(at, FaultKind::TooLarge { bound, unit: "entries" });
        }
    }
}

pub(super) fn from_toml(text: &str) -> Result<Profile, Vec<ProfileFault>> {
    if text.len() > FILE_BYTES_MAX {
        return Err(vec![ProfileFault::new("the file", FaultKind::TooLarge { bound: FILE_BYTES_MAX, unit: "bytes" })]);
    }
    let file: ProfileFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        vec![ProfileFault::new(format!("line {line}"), FaultKind::Form(error.message().to_owned()))]
    })?;
    from_file(&extended(file).map_err(|fault| vec![fault])?)
}

pub(super) fn from_file(file: &ProfileFile) -> Result<Profile, Vec<ProfileFault>> {
    let mut faults = Faults::default();
    let name = faults.text(
        "name",
        &file.name,
        is_name,
        "a name of lower-case letters, digits and `-`, at most 64 characters long",
    );
    faults.text("source", &file.source, |_| true, "text");
    faults.bound("notes", file.notes.len(), LIST_MAX);
    for (index, note) in file.notes.iter().enumerate() {
        faults.text(format!("notes[{index}]"), note, |_| true, "text");
    }
    let error = file
        .error
        .as_deref()
        .map_or(Some(ErrorShape::default()), |shape| faults.one_of("error", shape, &ErrorShape::NAMED));
    let opt_out = file.opt_out.as_ref().map(|written| opt_out(written, &mut faults));
    let settle = settle(file.settle.as_deref(), &mut faults);
    if file.rate.deletes_per_minute == Some(0) {
        faults.malformed("rate.deletes_per_minute", "0", "a number from 1");
    }
    let endpoints = endpoints::read(&file.endpoint, file.opt_out.is_some(), &mut faults);
    let needs_label = |endpoint: &Endpoint| {
        let Endpoint { classes, .. } = endpoint;
        classes.labelled() || classes.erase() || classes.log_query()
    };
    let optional = file.erase.is_none() && !endpoints.iter().any(needs_label);
    let label = label(file.label.as_ref(), optional, &mut faults);
    let erase = calls::erase(file.erase.as_ref(), &endpoints, &mut faults);
    let verify = calls::verify(&file.verify, &endpoints, &mut faults);
    let (Some(name), Some(error), Some(label), true) = (name, error, label, faults.0.is_empty()) else {
        return Err(faults.0);
    };
    Ok(Profile {
        name,
        source: file.source.clone(),
        notes: file.notes.clone(),
        error,
        label,
        opt_out: opt_out.flatten(),
        settle,
        deletes_per_minute: file.rate.deletes_per_minute,
        erase,
        verify,
        matcher: Matcher::new(endpoints.into()),
    })
}

fn label(written: Option<&LabelFile>, optional: bool, faults: &mut Faults) -> Option<LabelRule> {
    let Some(written) = written else {
        if optional {
            return Some(LabelRule::NONE);
        }
        faults.add("label", FaultKind::Missing);
        return None;
    };
    let header = faults.text("label.header", &written.header, is_token, TOKEN);
    let field = faults.text("label.field", &written.field, is_token, TOKEN);
    let query = written.query.as_deref().map(|name| faults.text("label.query", name, is_token, TOKEN));
    let grammar = faults.one_of("label.grammar", &written.grammar, &GrammarName::NAMED);
    let several = written
        .several
        .as_deref()
        .map(|several| faults.one_of("label.several", several, &[("first", ()), ("all", ())]));
    let (header_written, field) = (header?, field?);
    Some(LabelRule {
        header: header_written.to_ascii_lowercase(),
        header_written,
        field,
        query: query.flatten(),
        grammar: grammar?,
        several: several.is_some(),
    })
}

fn opt_out(written: &OptOutFile, faults: &mut Faults) -> Option<OptOutRule> {
    let header = faults.text("opt_out.header", &written.header, is_token, TOKEN);
    let query = written.query.as_deref().map(|name| faults.text("opt_out.query", name, is_token, TOKEN));
    let value = faults.text("opt_out.value", &written.value, is_token, TOKEN);
    faults.bound("opt_out.also", written.also.len(), LIST_MAX);
    for (index, name) in written.also.iter().enumerate() {
        faults.text(format!("opt_out.also[{index}]"), name, is_token, TOKEN);
    }
    let (header_written, value) = (header?, value?);
    Some(OptOutRule {
        header: header_written.to_ascii_lowercase(),
        header_written,
        query: query.flatten(),
        value,
        also: written.also.clone(),
    })
}

fn settle(written: Option<&str>, faults: &mut Faults) -> Duration {
    let Some(written) = written else { return Duration::ZERO };
    duration(written).unwrap_or_else(|| {
        faults.malformed(
            "settle",
            written,
            "a time such as \"90s\", \"30m\", \"24h\" or \"30d\", at most 365 days long",
        );
        Duration::ZERO
    })
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (seconds <= 365 * 86_400).then(|| Duration::from_secs(seconds))
}

const TOKEN: &str = "a token as HTTP defines it (letters, digits and !#$%&'*+-.^_`|~), at most 64 characters long";

fn is_token(text: &str) -> bool {
    let mark = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}

fn is_name(text: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(named)
}
