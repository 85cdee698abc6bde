//! The house is kept by tests: layers, sizes, words, links. A text search, not a parser: it asks no more than it can see.
//!
//! Every check is a function from text to faults, shown beside its rule to fail on a made-up text; here they all run over
//! the project as it stands.

#[path = "tidy/decisions.rs"]
mod decisions;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/vocabulary.rs"]
mod vocabulary;

use tree::File;

/// Runs a check over the files that `chosen` takes, and shows every fault at once.
fn every(chosen: impl Fn(&File) -> bool, check: impl Fn(&File) -> Vec<String>) {
    let faults: Vec<String> = tree::files().iter().filter(|file| chosen(file)).flat_map(check).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_tree_is_seen() {
    let files = tree::files();
    for path in ["src/lib.rs", "demo/src/lib.rs", "demo/stand-ins/src/lib.rs", "tests/tidy.rs", "Cargo.toml"] {
        assert!(files.iter().any(|file| file.path == path), "{path} was not found");
    }
}

#[test]
fn dependencies_point_down_only() {
    every(File::is_rust, layers::check_layers);
}

#[test]
fn names_are_the_fields() {
    every(File::is_source, vocabulary::check_vocabulary);
}

#[test]
fn no_file_and_no_function_holds_a_second_idea() {
    let tables = |file: &File| file.path.ends_with(".lock") || file.path.starts_with("LICENSE");
    every(|file| !file.is_markdown() && !tables(file) && !is_data(file), shape::check_size);
}

/// Data has the length that it has: profiles are tables, recordings are recordings.
fn is_data(file: &File) -> bool {
    file.path.starts_with("tests/data/") || (file.path.starts_with("src/") && !file.is_rust())
}

#[test]
fn files_are_short_as_a_rule() {
    let faults = shape::check_median(&tree::files());
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    every(File::is_rust, shape::check_opening);
}

#[test]
fn nothing_is_left_unfinished_and_nothing_names_a_machine() {
    every(|_| true, shape::check_strays);
}

#[test]
fn only_commands_print_and_only_telemetry_logs() {
    every(File::is_rust, shape::check_output);
}

#[test]
fn spelling_is_british() {
    every(|file| !file.path.ends_with(".lock") && !file.path.starts_with("LICENSE"), prose::check_spelling);
}

#[test]
fn doc_comments_of_the_product_are_statements() {
    every(File::is_source, prose::check_statements);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let files = tree::files();
    every(File::is_markdown, |file| prose::check_links(file, &files));
}

#[test]
fn decisions_have_one_form_are_listed_and_name_tests_that_exist() {
    let files = tree::files();
    every(decisions::is_decision, |file| decisions::check_decision(file, &files));
    every(File::is_rust, |file| decisions::check_references(file, &files));
    let tables = ["tests/fuzz/differences.rs", "tests/fuzz/answers.rs"];
    every(|file| tables.contains(&file.path.as_str()), |file| decisions::check_differences(file, &files));
}
