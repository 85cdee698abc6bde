//! The pages of `docs/decisions` have one form, are listed, and name tests that exist: a page whose test is gone may describe
//! what is no longer true. Links to code are checked with all other links.

use super::source::{Source, words};
use super::tree::File;

const FOLDER: &str = "docs/decisions/";
const LIST: &str = "docs/decisions/README.md";

/// The headings of a page, in their order.
const HEADINGS: [&str; 6] = ["Context", "Decision", "Reason", "Cost", "Where", "Shown by"];

/// Is this the page of a decision?
pub(crate) fn is_decision(file: &File) -> bool {
    file.path.starts_with(FOLDER) && file.path != LIST
}

/// A page with other headings, one that the list does not name, or one that names a test that is not there.
pub(crate) fn check_decision(file: &File, files: &[File]) -> Vec<String> {
    let name = file.path.trim_start_matches(FOLDER);
    let mut faults = Vec::new();
    let headings: Vec<&str> = file.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    if headings != HEADINGS {
        faults.push(format!("{}: the headings are {headings:?}, expected {HEADINGS:?}", file.path));
    }
    let is_listed = |list: &File| list.path == LIST && list.text.contains(&format!("]({name})"));
    if !files.iter().any(is_listed) {
        faults.push(format!("{}: {LIST} does not list it", file.path));
    }
    let shown_by = file.text.split_once("## Shown by").map_or("", |(_, tests)| tests);
    let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
    if named.is_empty() {
        faults.push(format!("{}: names no test", file.path));
    }
    let gone = named.into_iter().filter(|test| !files.iter().any(|file| file.is_rust() && has_function(file, test)));
    faults.extend(gone.map(|test| format!("{}: there is no test {test}", file.path)));
    faults
}

/// A page that a comment refers to and that is not there.
pub(crate) fn check_references(file: &File, files: &[File]) -> Vec<String> {
    let prose = Source::of(&file.text).prose;
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.');
    let named = prose.split(FOLDER).skip(1).filter_map(|after| after.split(ends).next());
    let paths = named.map(|name| format!("{FOLDER}{}", name.trim_end_matches('.')));
    let gone = paths.filter(|path| !files.iter().any(|file| file.path == *path));
    gone.map(|path| format!("{}: refers to {path}, which is not there", file.path)).collect()
}

/// A difference between two readers that the fuzz target allows and the page does not tell.
pub(crate) fn check_differences(table: &File, files: &[File]) -> Vec<String> {
    let page = files.iter().find(|file| file.path == "docs/decisions/001-own-http1.md").map_or("", |page| &page.text);
    let rows = table.text.split("    row(\n").skip(1).map(|row| row.split('"').skip(1).step_by(2).take(3));
    let lines = rows.map(|texts| format!("| {} |\n", texts.collect::<Vec<_>>().join(" | ")));
    let untold = lines.filter(|line| !page.contains(line.as_str()));
    untold.map(|line| format!("{}: the page does not have the row {line}", table.path)).collect()
}

fn has_function(file: &File, name: &str) -> bool {
    if !file.text.contains(name) {
        return false;
    }
    let code = Source::of(&file.text).code;
    let starts = code.match_indices("fn ").map(|(at, found)| code.split_at(at + found.len()).1);
    starts.into_iter().any(|after| words(after).next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::{HEADINGS, check_decision, check_differences, check_references};
    use crate::tree::File;

    #[test]
    fn a_page_in_another_form_an_unlisted_one_and_a_test_that_is_gone_are_found() {
        let tree = [
            File::made_up("docs/decisions/README.md", "* [001](001-a.md): A\n"),
            File::made_up("tests/a.rs", "/// Not fn is_gone.\nfn it_holds() {}\n"),
        ];
        let faults = |path: &str, test: &str, headings: &[&str]| {
            let text: String = headings.iter().map(|heading| format!("## {heading}\n\n")).collect();
            check_decision(&File::made_up(path, &format!("# A\n\n{text}* `{test}`\n")), &tree).len()
        };
        assert_eq!(faults("docs/decisions/001-a.md", "it_holds", &HEADINGS), 0);
        assert_eq!(faults("docs/decisions/001-a.md", "is_gone", &HEADINGS), 1);
        assert_eq!(faults("docs/decisions/001-a.md", "it_hold", &HEADINGS), 1);
        assert_eq!(faults("docs/decisions/002-b.md", "it_holds", &HEADINGS), 1);
        assert_eq!(faults("docs/decisions/001-a.md", "it_holds", &["Decision", "Shown by"]), 1);
    }

    #[test]
    fn a_difference_that_the_page_does_not_tell_is_found() {
        let tree = [File::made_up("docs/decisions/001-own-http1.md", "|---|\n| a | b | c |\n")];
        let faults = |text: &str| check_differences(&File::made_up("a.rs", text), &tree).len();
        assert_eq!(faults("    row(\n        \"a\",\n        \"b\",\n        \"c\",\n        |x| x,\n    ),\n"), 0);
        assert_eq!(faults("    row(\n        \"a\",\n        \"b\",\n        \"d\",\n        |x| x,\n    ),\n"), 1);
    }

    #[test]
    fn a_comment_that_refers_to_a_page_that_is_not_there_is_found() {
        let tree = [File::made_up("docs/decisions/001-a.md", "# A\n")];
        let faults = |text: &str| check_references(&File::made_up("src/a.rs", text), &tree).len();
        assert_eq!(faults("//! Opens it. See docs/decisions/001-a.md.\n"), 0);
        assert_eq!(faults("/// See docs/decisions/002-b.md, or not.\n"), 1);
        assert_eq!(faults("const X: &str = \"docs/decisions/002-b.md\";\n"), 0);
    }
}
