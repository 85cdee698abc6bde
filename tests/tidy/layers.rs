//! Who may name whom. The table is the architecture: dependencies point down only.
//!
//! `main, cli → app → listen, admin → proxy, erasure → replicas → inflight, upstream, store → http2, tls → net → telemetry → config → domain, http1 → nothing`

use super::source::{Source, words};
use super::tree::File;

/// The layers from the lowest up. A module may name itself and every module of a lower layer, and none beside it.
const LAYERS: [&[&str]; 12] = [
    &["domain", "http1"],
    &["config"],
    &["telemetry"],
    &["net"],
    &["tls", "http2"],
    &["inflight", "upstream", "store"],
    &["replicas"],
    &["proxy", "erasure"],
    &["listen", "admin"],
    &["app"],
    &["cli"],
    &["main"],
];

/// The library's root declares the modules and names none of them.
const ROOT: &str = "lib";

/// What the pure core may not name: a runtime, a protocol's machinery, a file, a socket, a clock.
const IMPURE: [&str; 9] =
    ["tokio", "hyper", "hyper_util", "rustls", "tokio_rustls", "sled", "SystemTime", "Instant", "Timestamp::now"];
const IMPURE_STD: [&str; 4] = ["fs", "net", "process", "env"];

/// Names of the file's code that its layer may not name.
pub(crate) fn check_layers(file: &File) -> Vec<String> {
    let Some(module) = file.module() else {
        return Vec::new();
    };
    let Some(height) = height(module) else {
        return vec![format!("{}: the table of layers does not know {module}", file.path)];
    };
    let code = Source::of(&file.text).code;
    let lower: Vec<&str> = LAYERS.into_iter().take(height).flatten().copied().collect();
    let mut faults: Vec<String> = ["crate", "forgetgate"]
        .into_iter()
        .flat_map(|root| paths(&code, root))
        .filter(|named| named != module && !lower.contains(&named.as_str()))
        .map(|named| format!("{}: {module} names {named}", file.path))
        .collect();
    faults.extend(climbs(file, &code));
    faults.extend(re_exports(file, module, &code));
    if module == "domain" {
        faults.extend(impurities(file, &code));
    }
    faults
}

/// How many layers lie below a module.
fn height(module: &str) -> Option<usize> {
    if module == ROOT {
        return Some(0);
    }
    LAYERS.into_iter().position(|layer| layer.contains(&module))
}

/// The first names after `root::`, with groups opened: `root::{a::B, c}` gives `a` and `c`; `root as x` gives `as`.
fn paths(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(root) {
        let (before, after) = rest.split_at(at);
        let after = after.strip_prefix(root).unwrap_or_default();
        rest = after;
        if before.ends_with(is_word) || after.starts_with(is_word) {
            continue;
        }
        match after.trim_start().strip_prefix("::") {
            Some(path) => found.extend(heads(path.trim_start())),
            None if after.trim_start().starts_with("as ") => found.push("as".to_owned()),
            None => {}
        }
    }
    found
}

/// The first name of a path, or of every path of a group.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        let end = path.find(|c: char| !is_word(c)).unwrap_or(path.len());
        let name = path.split_at(end).0;
        // What is no name is a glob, which would hide them all.
        return vec![if name.is_empty() { "*".to_owned() } else { name.to_owned() }];
    };
    let mut depth = 0_usize;
    let mut item = String::new();
    let mut items = Vec::new();
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    items.push(item);
    items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()).flat_map(heads).collect()
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Chains of `super` that leave the file's own top module.
fn climbs(file: &File, code: &str) -> Vec<String> {
    let inside = file.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = inside.split('/').count();
    let mut in_inline_module = false;
    let mut faults = Vec::new();
    for (number, line) in code.lines().enumerate() {
        // rustfmt puts an inline module's first and last line where its parent begins.
        match line {
            "}" => in_inline_module = false,
            _ if line.contains("mod ") && line.ends_with('{') && !line.starts_with(' ') => in_inline_module = true,
            _ => {}
        }
        let longest = longest_climb(line);
        if longest >= depth + usize::from(in_inline_module) && longest > 0 && file.module() != Some("lib") {
            faults.push(format!("{}:{}: super climbs out of its module", file.path, number + 1));
        }
    }
    faults
}

fn longest_climb(line: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for word in words(line) {
        run = if word == "super" { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    // `pub(super)` and `in super` say who sees an item; they name nothing.
    if longest == 1 && !line.contains("super::") { 0 } else { longest }
}

/// A re-export of another layer's items would be a way round the table.
fn re_exports(file: &File, module: &str, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for statement in code.split(';') {
        let words: Vec<&str> = words(statement).collect();
        let is_public = statement.rfind("use ").is_some_and(|at| {
            let before = statement.split_at(at).0.trim_end();
            before.ends_with("pub") || (before.ends_with(')') && before.contains("pub("))
        });
        let leaves = words.iter().skip_while(|word| **word != "use").nth(1).is_some_and(|first| *first == "crate")
            && paths(statement, "crate").iter().any(|named| named != module);
        if is_public && leaves {
            faults.push(format!("{}: re-exports another layer: {}", file.path, statement.trim()));
        }
    }
    faults
}

fn impurities(file: &File, code: &str) -> Vec<String> {
    let named = |wanted: &&str| {
        if wanted.contains("::") { code.contains(*wanted) } else { words(code).any(|word| word == *wanted) }
    };
    let standard = paths(code, "std");
    let outside = IMPURE.into_iter().filter(named).map(str::to_owned);
    let inside = IMPURE_STD.into_iter().filter(|name| standard.iter().any(|found| found == name));
    outside
        .chain(inside.map(|name| format!("std::{name}")))
        .map(|name| format!("{}: the pure core names {name}", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check_layers;
    use crate::tree::File;

    fn faults(path: &str, text: &str) -> usize {
        check_layers(&File::made_up(path, text)).len()
    }

    #[test]
    fn a_name_from_above_or_beside_is_found_however_it_is_written() {
        for text in [
            "use crate::proxy::handle;",
            "use crate::{domain::CustomerId, proxy};",
            "use crate::{\n    config::{Config, file::Table},\n    proxy::{self},\n};",
            "fn f() { crate::proxy::handle(); }",
            "fn f() { $crate :: proxy::handle(); }",
            "use forgetgate::proxy;",
            "use crate::*;",
            "use crate as me;",
        ] {
            assert_eq!(faults("src/store/sled/mod.rs", text), 1, "{text}");
        }
        assert_eq!(faults("src/proxy/mod.rs", "use crate::erasure::Intake;"), 1);
        assert_eq!(faults("src/erasure/mod.rs", "use crate::proxy::Gate;"), 1);
        assert_eq!(faults("src/domain/mod.rs", "use crate::config::Config;"), 1);
        assert_eq!(faults("src/unheard_of.rs", ""), 1);
        assert_eq!(faults("src/cli/mod.rs", "use crate::demo::services;"), 1);
    }

    #[test]
    fn what_is_below_or_only_mentioned_is_no_fault() {
        let text = "//! See `crate::proxy`.\nuse crate::{config::Config, domain::CustomerId};\nlet s = \"crate::proxy\";\n\
                    // crate::erasure\nuse crate::store::Index; use my_crate::proxy; pub use self::memory::Memory;";
        assert_eq!(faults("src/store/sled/mod.rs", text), 0);
        assert_eq!(faults("src/listen/mod.rs", "use crate::proxy; use crate::erasure;"), 0);
        assert_eq!(faults("tests/spec/main.rs", "use forgetgate::proxy;"), 0);
    }

    #[test]
    fn super_may_not_climb_out_of_its_module() {
        assert_eq!(faults("src/config/mod.rs", "use super::domain::X;"), 1);
        assert_eq!(faults("src/config/parse.rs", "use super::super::domain::X;"), 1);
        assert_eq!(faults("src/config/mod.rs", "mod tests {\n    use super::super::domain::X;\n}"), 1);

        assert_eq!(faults("src/config/parse.rs", "use super::file::Table; pub(super) fn f() {}"), 0);
        assert_eq!(faults("src/config/parse/bounded.rs", "use super::super::file::Table;"), 0);
        assert_eq!(faults("src/config/parse.rs", "mod tests {\n    use super::super::file::Table;\n}"), 0);
        assert_eq!(faults("src/config/mod.rs", "pub(super) struct X;"), 0);
    }

    #[test]
    fn a_re_export_across_layers_is_found() {
        assert_eq!(faults("src/store/mod.rs", "use std::fmt;\npub use crate::domain::CustomerId;"), 1);
        assert_eq!(faults("src/store/mod.rs", "pub(crate) use crate::{\n    domain::CustomerId,\n};"), 1);
        assert_eq!(faults("src/store/mod.rs", "pub use crate::store::memory::Memory; use crate::domain::X;"), 0);
    }

    #[test]
    fn the_pure_core_names_no_runtime_file_socket_or_clock() {
        for text in [
            "use tokio::sync::watch;",
            "use std::{fmt, net::IpAddr};",
            "fn f() { std::fs::read(\"x\"); }",
            "use std::time::Instant;",
            "fn f() { jiff::Timestamp::now(); }",
        ] {
            assert_eq!(faults("src/domain/decide/mod.rs", text), 1, "{text}");
            assert_eq!(faults("src/config/mod.rs", text), 0, "{text}");
        }
        assert_eq!(faults("src/domain/decide/mod.rs", "// tokio\nuse std::time::Duration; use std::fmt;"), 0);
    }
}
