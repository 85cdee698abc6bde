//! `forgetgate profiles [NAME]`: what the gate knows about the services, as tables for people and JSON for machines.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::{Value, json};

use crate::domain::profile::{Classes, Endpoint, EraseRule, Known, Profile, built_in, built_in_names, built_in_text};

/// How wide a table gets.
const WIDTH: u16 = 100;

/// There is no built-in profile of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no built-in profile is called \"{name}\"; there are {known}")]
pub struct UnknownProfile {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: Known,
}

/// The text that the command prints: all profiles, or one of them.
///
/// # Errors
/// There is no such profile.
pub fn print(name: Option<&str>, json: bool) -> Result<String, UnknownProfile> {
    let Some(name) = name else {
        let profiles: Vec<_> = built_in_names().filter_map(built_in).collect();
        let profiles = profiles.iter().map(AsRef::as_ref);
        return Ok(if json { pretty(&profiles.map(summary).collect()) } else { list(profiles) });
    };
    let profile =
        built_in(name).ok_or_else(|| UnknownProfile { name: name.to_owned(), known: built_in_names().collect() })?;
    Ok(if json { pretty(&everything(&profile)) } else { page(&profile) })
}

/// The file of a built-in profile: what one's own is written like.
///
/// # Errors
/// There is no such profile.
pub fn file(name: &str) -> Result<&'static str, UnknownProfile> {
    built_in_text(name).ok_or_else(|| UnknownProfile { name: name.to_owned(), known: built_in_names().collect() })
}

fn count(profile: &Profile, class: Classes) -> usize {
    profile.endpoints().iter().filter(|endpoint| endpoint.classes.has(class)).count()
}

fn list<'p>(profiles: impl Iterator<Item = &'p Profile>) -> String {
    let mut table = table(["PROFILE", "CALLS", "LABELLED", "OPTED OUT", "CARRY DATA", "TRAINING", "BETA"]);
    let counted =
        [Classes::NONE, Classes::LABELLED, Classes::OPT_OUT, Classes::CARRIES_DATA, Classes::TRAINING, Classes::BETA];
    for profile in profiles {
        let numbers = counted.iter().map(|class| count(profile, *class).to_string());
        table.add_row([profile.name.clone()].into_iter().chain(numbers));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n\nforgetgate profiles NAME shows the rules and the calls of one.\n", table.trim_fmt())
}

fn page(profile: &Profile) -> String {
    let rules = rules(profile);
    let calls = calls(profile);
    format!("{}\n\n{}\n\n{}\n", profile.name, rules.trim_fmt(), calls.trim_fmt())
}

fn rules(profile: &Profile) -> Table {
    let mut table = bare();
    let label = &profile.label;
    let several = if label.several { "of several IDs the first counts" } else { "one ID only" };
    if label.is_none() {
        table.add_row(["Label", "none: what is sent there is not indexed and cannot be erased by label"]);
    } else {
        table.add_row(["Label", &format!("{}: {}=ID", label.header_written, label.field)]);
        table.add_row(["", &format!("grammar {}, {several}", label.grammar.name())]);
    }
    if let Some(opt_out) = &profile.opt_out {
        table.add_row(["Opt-out", &format!("{}: {}", opt_out.header_written, opt_out.value)]);
        for also in &opt_out.also {
            table.add_row(["", &format!("{also}: {}", opt_out.value)]);
        }
    }
    if count(profile, Classes::WEBSOCKET) > 0 {
        let named = [label.query.as_deref(), profile.opt_out.as_ref().and_then(|opt_out| opt_out.query.as_deref())];
        table.add_row(["WebSocket", &format!("query {}", named.into_iter().flatten().collect::<Vec<_>>().join(", "))]);
    }
    if let Some(erase) = &profile.erase {
        table.add_row(["Erase", &format!("{}?{}", erase.call(), erase.query_written())]);
        table.add_row(["", &terms(profile, erase)]);
    }
    for (index, verify) in profile.verify.iter().enumerate() {
        table.add_row([
            if index == 0 { "Verify" } else { "" },
            &format!("{}?{} has no {} (known, not yet asked)", verify.call(), verify.query_written(), verify.absent),
        ]);
    }
    table.add_row(["Source", &profile.source]);
    for (index, note) in profile.notes.iter().enumerate() {
        table.add_row([if index == 0 { "Notes" } else { "" }, note]);
    }
    flush_left(&mut table);
    table
}

/// What goes with a delete: versions, and what is done with the answer.
fn terms(profile: &Profile, erase: &EraseRule) -> String {
    let versions: Vec<_> = erase.apis.iter().map(|api| format!("v{api}")).collect();
    let api = erase.api.map(|api| format!("{}, v{api} unless traffic says otherwise", versions.join(" or ")));
    let version = erase.default_version.as_ref().map(|version| format!("version {version} unless one is set"));
    let hours = profile.settle.as_secs() / 3600;
    let settle = Some(format!("settled {hours} h after it was accepted"));
    let rate = profile.deletes_per_minute.map(|rate| format!("at most {rate} a minute"));
    [api, version, settle, rate].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn calls(profile: &Profile) -> Table {
    let mut table = table(["CALL", "IS", "RESOURCE"]);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for endpoint in profile.endpoints() {
        let resource = endpoint.resource_template().unwrap_or_default();
        table.add_row([
            wrapped(endpoint.call(), '/', 48),
            wrapped(&kind(endpoint), ' ', 22),
            wrapped(resource, '/', 21),
        ]);
    }
    table
}

fn kind(endpoint: &Endpoint) -> String {
    let when = endpoint.when.as_ref().map(|when| format!("; labelled with {}", when.query.join(" or ")));
    format!("{}{}", endpoint.classes, when.unwrap_or_default())
}

/// Breaks a text into lines of this width before (`/`) or after (a blank) the separator. The table's own wrapping would
/// lose the separators.
fn wrapped(text: &str, separator: char, width: usize) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    let pieces = text.match_indices(separator).map(|(at, _)| at).chain([text.len()]);
    let mut begun = 0;
    for end in pieces {
        let piece = text.get(begun..end).unwrap_or_default();
        begun = end;
        if line.len() + piece.len() > width && !line.trim().is_empty() {
            lines.push_str(&line);
            lines.push('\n');
            "  ".clone_into(&mut line);
            line.push_str(piece.trim_start());
        } else {
            line.push_str(piece);
        }
    }
    lines + &line
}

fn bare() -> Table {
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .force_no_tty();
    table
}

fn flush_left(table: &mut Table) {
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = bare();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'))).set_header(header);
    flush_left(&mut table);
    table
}

fn summary(profile: &Profile) -> Value {
    json!({
        "name": profile.name,
        "calls": profile.endpoints().len(),
        "labelled": count(profile, Classes::LABELLED),
        "opted_out": count(profile, Classes::OPT_OUT),
        "carry_data": count(profile, Classes::CARRIES_DATA),
        "training": count(profile, Classes::TRAINING),
        "beta": count(profile, Classes::BETA),
    })
}

fn everything(profile: &Profile) -> Value {
    let (label, opt_out, erase) = (&profile.label, profile.opt_out.as_ref(), profile.erase.as_ref());
    json!({
        "name": profile.name,
        "source": profile.source,
        "notes": profile.notes,
        "error": profile.error.name(),
        "label": (!label.is_none()).then(|| json!({
            "header": label.header_written,
            "field": label.field,
            "query": label.query,
            "grammar": label.grammar.name(),
            "several": label.several,
        })),
        "opt_out": opt_out.map(|rule| json!({
            "header": rule.header_written,
            "query": rule.query,
            "value": rule.value,
            "also": rule.also,
        })),
        "settle_seconds": profile.settle.as_secs(),
        "deletes_per_minute": profile.deletes_per_minute,
        "erase": erase.map(|rule| json!({
            "call": rule.call(),
            "query": rule.query_written(),
            "api": rule.api,
            "apis": rule.apis,
            "default_version": rule.default_version,
        })),
        "verify": profile.verify.iter().map(|rule| json!({
            "call": rule.call(),
            "query": rule.query_written(),
            "absent": rule.absent,
        })).collect::<Vec<_>>(),
        "endpoints": profile.endpoints().iter().map(|endpoint| json!({
            "call": &**endpoint.call(),
            "is": endpoint.classes.names().collect::<Vec<_>>(),
            "resource": endpoint.resource_template(),
            "when": endpoint.when.as_ref().map(|when| json!({ "query": when.query })),
        })).collect::<Vec<_>>(),
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_built_in_profile() {
        let text = print(None, false).unwrap();
        assert!(built_in_names().all(|name| text.contains(name)), "{text}");
        let json: Value = serde_json::from_str(&print(None, true).unwrap()).unwrap();
        assert_eq!(json.as_array().unwrap().len(), built_in_names().count());
    }

    #[test]
    fn a_page_fits_a_hundred_columns_and_holds_every_call() {
        for name in built_in_names() {
            let text = print(Some(name), false).unwrap();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(WIDTH), "{name}: {widest}");
            let json: Value = serde_json::from_str(&print(Some(name), true).unwrap()).unwrap();
            let profile = built_in(name).unwrap();
            assert_eq!(json["endpoints"].as_array().unwrap().len(), profile.endpoints().len());
            let short = profile.endpoints().iter().map(Endpoint::call).filter(|call| call.len() <= 48);
            assert!(short.into_iter().all(|call| text.contains(&**call)), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_what_there_is() {
        let told = print(Some("watson-teapot"), false).unwrap_err().to_string();
        assert!(told.contains("\"watson-teapot\"") && told.contains("\"watson-assistant\""), "{told}");
        assert_eq!(file("watson-teapot").unwrap_err().to_string(), told);
    }

    /// Whoever writes one of their own begins with such a file: under another name each is one.
    #[test]
    fn the_file_of_every_built_in_profile_is_a_profile_of_ones_own() {
        for name in built_in_names() {
            let own = file(name).unwrap().replacen(name, "our-own", 1);
            let read = Profile::from_toml(&own).unwrap();
            assert_eq!(
                (read.name.as_str(), read.endpoints().len()),
                ("our-own", built_in(name).unwrap().endpoints().len())
            );
        }
    }
}
