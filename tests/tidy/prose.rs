//! Spelling is British, in comments and in documents; doc comments are statements; links in documents lead somewhere.
//!
//! Contracts keep their own spelling (`authorize`, `/v1/recognize`): what stands in backquotes is not looked at.

use std::path::Path;

use super::source::Source;
use super::tree::File;

/// Words, or beginnings of words where the list says `-`, with the spelling that is wanted.
const AMERICAN: &[(&str, &str)] = &[
    ("behavior-", "behaviour"),
    ("color-", "colour"),
    ("favor-", "favour"),
    ("honor-", "honour"),
    ("neighbor-", "neighbour"),
    ("flavor-", "flavour"),
    ("center", "centre"),
    ("centered", "centred"),
    ("defense", "defence"),
    ("labeled", "labelled"),
    ("labeling", "labelling"),
    ("unlabeled", "unlabelled"),
    ("canceled", "cancelled"),
    ("canceling", "cancelling"),
    ("modeled", "modelled"),
    ("signaled", "signalled"),
    ("tunneled", "tunnelled"),
    ("traveled", "travelled"),
    ("gray", "grey"),
    ("catalog", "catalogue"),
    ("fulfill", "fulfil"),
    ("normalize-", "normalise"),
    ("normalization", "normalisation"),
    ("serialize-", "serialise"),
    ("deserialize-", "deserialise"),
    ("initialize-", "initialise"),
    ("initialization", "initialisation"),
    ("optimize-", "optimise"),
    ("organize-", "organise"),
    ("organization-", "organisation"),
    ("summarize-", "summarise"),
    ("minimize-", "minimise"),
    ("pseudonymize-", "pseudonymise"),
    ("anonymize-", "anonymise"),
];

/// American spellings in the file's prose.
pub(crate) fn check_spelling(file: &File) -> Vec<String> {
    let prose = if file.is_rust() {
        Source::of(&file.text).prose
    } else if file.is_markdown() {
        without_fences(&file.text)
    } else {
        comments(&file.text)
    };
    let mut faults = Vec::new();
    let written = prose.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    for (number, line) in written {
        for word in without_code(line).split(|c: char| !c.is_ascii_alphabetic()) {
            if let Some(wanted) = american(&word.to_ascii_lowercase()) {
                faults.push(format!("{}:{}: {word}, where {wanted} is meant", file.path, number + 1));
            }
        }
    }
    faults
}

/// Questions in doc comments: a reader of the code looks for what is so, not for what is asked.
pub(crate) fn check_statements(file: &File) -> Vec<String> {
    let lines = file.text.lines().map(str::trim_start).enumerate();
    let doc = lines.filter(|(_, line)| line.starts_with("///") || line.starts_with("//!"));
    let asking = doc.filter(|(_, line)| without_code(line).contains('?'));
    asking
        .map(|(number, line)| format!("{}:{}: asks, where a statement is meant: {line}", file.path, number + 1))
        .collect()
}

fn american(word: &str) -> Option<&'static str> {
    let is_it = |listed: &str| match listed.strip_suffix('-') {
        Some(beginning) => word.starts_with(beginning),
        None => word == listed,
    };
    AMERICAN.iter().find(|(listed, _)| is_it(listed)).map(|(_, wanted)| *wanted)
}

/// The comments of files whose comments begin with `#` or `//`; the rest is blank.
fn comments(text: &str) -> String {
    let comment = |line: &str| {
        let line = line.trim_start();
        if line.starts_with('#') || line.starts_with("//") { line.to_owned() } else { String::new() }
    };
    text.lines().map(comment).collect::<Vec<_>>().join("\n")
}

/// A document without its fenced blocks, every line in its place.
fn without_fences(text: &str) -> String {
    let mut inside = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        kept.push(if inside || is_fence { "" } else { line });
    }
    kept.join("\n")
}

/// A line without what stands in backquotes.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Links of a document that lead to no file or heading of the project. Links to the web are not followed.
pub(crate) fn check_links(file: &File, files: &[File]) -> Vec<String> {
    let text = without_fences(&file.text);
    let links = text.lines().flat_map(links).collect::<Vec<_>>();
    let broken = links.iter().filter(|link| !leads_somewhere(file, link, files));
    broken.map(|link| format!("{}: {link} leads nowhere", file.path)).collect()
}

/// The targets of `[text](target)` in a line.
fn links(line: &str) -> Vec<String> {
    let line = without_code(line);
    let parts = line.split("](").skip(1);
    parts.filter_map(|part| part.split([')', ' ']).next()).map(str::to_owned).collect()
}

fn leads_somewhere(from: &File, link: &str, files: &[File]) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { from.path.clone() } else { resolved(&from.path, path) };
    let in_folder = format!("{}/", target.trim_end_matches('/'));
    let Some(file) = files.iter().find(|file| file.path == target) else {
        return heading.is_empty() && files.iter().any(|file| file.path.starts_with(&in_folder));
    };
    heading.is_empty() || headings(&file.text).iter().any(|known| known == heading)
}

/// The path that a link in this file means, from the root.
fn resolved(from: &str, link: &str) -> String {
    let folder = Path::new(from).parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            // One step above the root stays a step that no file has.
            ".." if parts.last().is_none_or(|last| *last == "..") => parts.push(".."),
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchors that the headings of a document have on the usual forges.
fn headings(text: &str) -> Vec<String> {
    let text = without_fences(text);
    let lines = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    lines.map(anchor).collect()
}

#[cfg(test)]
mod tests {
    use super::{check_links, check_spelling, check_statements};
    use crate::tree::File;

    #[test]
    fn american_spelling_is_found_in_comments_and_documents() {
        let faults = |path: &str, text: &str| check_spelling(&File::made_up(path, text)).len();
        assert_eq!(faults("src/a.rs", "/// Its behavior, and the Colors.\nfn f() {}"), 2);
        assert_eq!(faults("README.md", "The behavior of unlabeled calls."), 2);
        assert_eq!(faults("config.toml", "  # labeled data\ncolor = 1"), 1);

        assert_eq!(faults("src/a.rs", "// Its behaviour: `normalize`\nfn behavior() { \"color\"; }"), 0);
        assert_eq!(faults("README.md", "```toml\ncolor = 1\n```\nSet `authorize` and `color`."), 0);
    }

    #[test]
    fn a_question_in_a_doc_comment_is_found() {
        let faults = |text: &str| check_statements(&File::made_up("src/a.rs", text)).len();
        assert_eq!(faults("//! Is it open?\n    /// Is it? It may be.\nfn f() {}"), 2);
        assert_eq!(faults("/// Whether it is open: `GET /?x=1`.\n// Why not?\nfn f() { g()?; }"), 0);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let tree = [
            File::made_up("README.md", "# The name, `here`\n## Two words\n"),
            File::made_up("deploy/notes.md", "# Notes\n"),
        ];
        let faults = |path: &str, text: &str| check_links(&File::made_up(path, text), &tree).len();
        for link in ["gone.md", "deploy/gone.md", "README.md#three-words", "../README.md", "src", "#two-words"] {
            assert_eq!(faults("CHANGELOG.md", &format!("See [it]({link}).")), 1, "{link}");
        }
        for link in [
            "README.md",
            "deploy/notes.md#notes",
            "README.md#two-words",
            "README.md#the-name-here",
            "deploy",
            "https://x.example/",
        ] {
            assert_eq!(faults("CHANGELOG.md", &format!("See [it]({link}).")), 0, "{link}");
        }
        assert_eq!(faults("deploy/more.md", "[up](../README.md#two-words) and [beside](notes.md)"), 0);
        assert_eq!(faults("CHANGELOG.md", "```\n[x](gone.md)\n```\nand `[y](gone.md)`"), 0);
    }
}
