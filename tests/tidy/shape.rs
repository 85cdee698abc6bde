//! How large a file and a function may grow, how a file opens, and words that stand for unfinished or stray work.

use super::source::{Source, words};
use super::tree::File;

/// Past these there is a second idea in it.
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
const MEDIAN_FILE_LINES_MAX: usize = 165;
const OPENING_LINES_MAX: usize = 6;

/// Marks of work that is not done. They are put together here so that this file does not hold them.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!"), concat!("unimple", "mented!")];

/// Paths and hosts of somebody's machine.
const OF_A_MACHINE: [&str; 8] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("../", "shared"),
    concat!("registry.", "npmjs"),
    concat!("py", "pi.org"),
    concat!("index.", "crates.io"),
    concat!("arti", "factory"),
];

const PRINTS: [&str; 5] = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];

/// A file that is too long, or a function.
pub(crate) fn check_size(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let mut faults = Vec::new();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{}: {lines} lines, more than {FILE_LINES_MAX}", file.path));
    }
    if file.is_rust() {
        let long = functions(&file.text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        faults.extend(long.map(|(name, lines)| format!("{}: fn {name} has {lines} lines", file.path)));
    }
    faults
}

/// The median length of the product's own files.
pub(crate) fn check_median(files: &[File]) -> Vec<String> {
    let ours = files.iter().filter(|file| file.is_source());
    let mut lengths: Vec<usize> = ours.map(|file| file.text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    let is_long = median > MEDIAN_FILE_LINES_MAX;
    is_long.then(|| format!("the median file has {median} lines")).into_iter().collect()
}

/// The functions of a source text with the number of their lines, signature and last brace included.
fn functions(text: &str) -> Vec<(String, usize)> {
    let code = Source::of(text).code;
    let starts = code.match_indices("fn ").filter(|(at, _)| {
        let before = code.split_at(*at).0.chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    });
    starts.filter_map(|(at, _)| function(code.split_at(at).1)).collect()
}

/// The function that begins here; none for a type `fn(…)` or a declaration without a body.
fn function(code: &str) -> Option<(String, usize)> {
    let name = words(code.strip_prefix("fn ")?.lines().next()?).next()?;
    let (mut blocks, mut brackets, mut lines) = (0_usize, 0_usize, 1);
    for c in code.chars() {
        match c {
            '\n' => lines += 1,
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.checked_sub(1)?,
            '{' => blocks += 1,
            '}' if blocks == 1 => return Some((name.to_owned(), lines)),
            '}' => blocks = blocks.checked_sub(1)?,
            // A declaration ends here; in brackets it is an array type's.
            ';' if blocks == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

/// A source file that does not say at its top what it is for.
pub(crate) fn check_opening(file: &File) -> Vec<String> {
    let opening = file.text.lines().take_while(|line| line.starts_with("//!")).count();
    let is_map = file.path == "src/lib.rs";
    match opening {
        0 => vec![format!("{}: does not open with //!", file.path)],
        long if long > OPENING_LINES_MAX && !is_map => {
            vec![format!("{}: {long} lines of //!", file.path)]
        }
        _ => Vec::new(),
    }
}

/// Marks of unfinished work, and paths and hosts of a machine.
pub(crate) fn check_strays(file: &File) -> Vec<String> {
    let marks = UNFINISHED.into_iter().chain(OF_A_MACHINE);
    // The lock files are written by tools, which name their registries.
    let found = marks.filter(|mark| !file.path.ends_with(".lock") && file.text.contains(mark));
    found.map(|mark| format!("{}: holds {mark}", file.path)).collect()
}

/// Printing outside the commands and the demonstration, and log lines that are not written by telemetry.
pub(crate) fn check_output(file: &File) -> Vec<String> {
    if !file.is_source() {
        return Vec::new();
    }
    // The packages of the demonstration go by their folders.
    let module = file.module().unwrap_or(if file.path.starts_with("demo/src/") { "demo" } else { "stand-ins" });
    let code = Source::of(&file.text).code;
    let mut faults = Vec::new();
    if !["main", "cli", "demo"].contains(&module) {
        let printing = PRINTS.into_iter().filter(|name| calls(&code, name));
        faults.extend(printing.map(|name| format!("{}: uses {name}", file.path)));
    }
    if module != "telemetry" && words(&code).any(|word| word == "tracing") {
        faults.push(format!("{}: writes log lines without telemetry", file.path));
    }
    faults
}

/// Is the macro called, and not one whose name ends like it?
fn calls(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code.split_at(at).0.chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
    })
}

#[cfg(test)]
mod tests {
    use super::{
        OF_A_MACHINE, UNFINISHED, check_median, check_opening, check_output, check_size, check_strays, functions,
    };
    use crate::tree::File;

    #[test]
    fn a_file_or_a_function_that_is_too_long_is_found() {
        let long = "\n".repeat(401);
        assert_eq!(check_size(&File::made_up("src/a.rs", &long)).len(), 1);
        assert_eq!(check_size(&File::made_up("tests/clients/a.py", &long)).len(), 1);
        assert_eq!(check_size(&File::made_up("src/a.rs", &"\n".repeat(400))).len(), 0);

        let body = |lines: usize| {
            format!("impl X {{\n    fn f(a: [u8; 2]) {{\n{}    }}\n}}\n", "        g();\n".repeat(lines))
        };
        assert_eq!(check_size(&File::made_up("src/a.rs", &body(59))).len(), 1);
        assert_eq!(check_size(&File::made_up("src/a.rs", &body(58))).len(), 0);
    }

    #[test]
    fn functions_are_counted_from_their_signature_to_their_last_brace() {
        let text = "trait T { fn a(&self) -> [u8; 3]; fn b(x: fn(u8) -> u8) { \"}\"; } }\nfn c(\n) {\n  || { 1 };\n}\n";
        let found = functions(text);
        assert_eq!(found, [("b".to_owned(), 1), ("c".to_owned(), 4)]);
    }

    #[test]
    fn a_median_that_grows_is_found() {
        let long = File::made_up("src/a.rs", &"\n".repeat(200));
        let short = File::made_up("src/b.rs", "\n");
        assert_eq!(check_median(&[long.clone(), long.clone(), short.clone()]).len(), 1);
        assert_eq!(check_median(&[long, short.clone(), short]).len(), 0);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_found() {
        assert_eq!(check_opening(&File::made_up("src/a.rs", "use std::fmt;\n")).len(), 1);
        assert_eq!(check_opening(&File::made_up("src/a.rs", &"//! x\n".repeat(7))).len(), 1);
        assert_eq!(check_opening(&File::made_up("src/a.rs", "//! What it is for.\n")).len(), 0);
    }

    #[test]
    fn marks_of_unfinished_work_and_of_a_machine_are_found() {
        for mark in UNFINISHED.into_iter().chain(OF_A_MACHINE) {
            assert_eq!(check_strays(&File::made_up("README.md", &format!("see {mark} there"))).len(), 1, "{mark}");
            assert_eq!(check_strays(&File::made_up("Cargo.lock", mark)).len(), 0);
        }
    }

    #[test]
    fn printing_and_logging_outside_their_places_are_found() {
        let output = |path: &str, text: &str| check_output(&File::made_up(path, text)).len();
        assert_eq!(output("src/proxy/mod.rs", "fn f() { println!(\"x\"); }"), 1);
        assert_eq!(output("src/proxy/mod.rs", "fn f() { tracing::info!(\"x\"); }"), 1);
        assert_eq!(output("src/proxy/mod.rs", "use tracing::{info};"), 1);
        assert_eq!(output("src/proxy/mod.rs", "// println! and tracing\nfn f() { pretty_print!(1); \"dbg!\"; }"), 0);
        assert_eq!(output("demo/stand-ins/src/lib.rs", "fn f() { println!(\"x\"); }"), 1);
        assert_eq!(output("demo/src/lib.rs", "use tracing::{info};"), 1);
        assert_eq!(output("src/cli/mod.rs", "fn f() { println!(\"x\"); }"), 0);
        assert_eq!(output("demo/src/lib.rs", "fn f() { println!(\"x\"); }"), 0);
        assert_eq!(output("src/telemetry/mod.rs", "fn f() { tracing::info!(\"x\"); }"), 0);
    }
}
