//! Rules of the tree itself, checked on the tree: who may depend on whom, where `unsafe` may stand, what documents
//! may name. Each rule has a test of its own that shows it fail on a made-up offender.

mod clippy_files;
mod code;
mod dependencies;
mod documents;
mod rust_source;
mod strangers;
mod tree;

use crate::dependencies::Graph;
use crate::tree::{File, Finding};

fn expect_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        findings.is_empty(),
        "{} found:\n{}",
        findings.len(),
        lines.join("\n")
    );
}

fn on_every_file(check: impl Fn(&File) -> Vec<Finding>) {
    let files = tree::files(&tree::root());
    expect_none(&files.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn dependencies_point_one_way() {
    let graph = Graph::of_this_workspace();
    expect_none(&dependencies::directions(&graph));
    expect_none(&dependencies::apart(&graph));
}

#[test]
fn pure_crates_reach_no_network_runtime_or_libtorch() {
    expect_none(&dependencies::purity(&Graph::of_this_workspace()));
}

#[test]
fn only_the_worker_side_links_libtorch() {
    expect_none(&dependencies::libtorch(&Graph::of_this_workspace()));
}

#[test]
fn unsafe_stands_only_in_the_two_crates_for_it() {
    on_every_file(code::misplaced_unsafe);
}

#[test]
fn no_source_file_is_too_long() {
    on_every_file(code::too_long);
}

#[test]
fn ignored_tests_are_named_long() {
    on_every_file(code::misnamed_ignored_tests);
}

#[test]
fn no_test_sleeps() {
    on_every_file(code::sleeps_in_tests);
}

#[test]
fn clippy_files_repeat_the_root_and_pure_crates_ban_more() {
    expect_none(&clippy_files::findings(&tree::files(&tree::root())));
}

#[test]
fn documents_name_only_what_exists() {
    let root = tree::root();
    on_every_file(|file| documents::missing_paths(file, &root));
}

#[test]
fn no_file_names_a_machine_or_a_host_of_somebody() {
    on_every_file(strangers::findings);
}
