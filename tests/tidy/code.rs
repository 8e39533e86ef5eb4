//! Rules for Rust source.

use crate::rust_source::{code_only, has_word};
use crate::tree::{File, Finding};

/// The only crates that talk to foreign code.
const UNSAFE_CRATES: [&str; 2] = ["worker/collective/", "worker/torch/"];

/// Lines of a file without its inline tests: one that needs more holds two ideas.
const MAX_LINES: usize = 400;
/// Lines of a file of tests; a story takes room.
const MAX_TEST_LINES: usize = 650;
/// Files that were longer when the limit came, and how long they may be. Entries only shrink and go.
const LONGER: [(&str, usize); 0] = [];

/// `unsafe`, or a permission for it, outside the two crates.
pub(crate) fn misplaced_unsafe(file: &File) -> Vec<Finding> {
    let allowed = UNSAFE_CRATES
        .iter()
        .any(|folder| file.path.starts_with(folder));
    if !file.is_rust() || allowed {
        return Vec::new();
    }
    code_only(&file.text)
        .lines()
        .enumerate()
        .filter(|(_, line)| has_word(line, "unsafe") || has_word(line, "unsafe_code"))
        .map(|(index, _)| {
            let what = format!("unsafe belongs to {} only", UNSAFE_CRATES.join(" and "));
            Finding::new(&file.path, index + 1, what)
        })
        .collect()
}

/// Files above the limit, and entries of the list of exceptions that are no longer needed.
pub(crate) fn too_long(file: &File) -> Vec<Finding> {
    too_long_with(file, &LONGER)
}

fn too_long_with(file: &File, longer: &[(&str, usize)]) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let usual = if is_test_file(file) {
        MAX_TEST_LINES
    } else {
        MAX_LINES
    };
    let exception = longer
        .iter()
        .find(|(path, _)| *path == file.path)
        .map(|(_, lines)| *lines);
    let lines = first_test_line(file).unwrap_or_else(|| file.text.lines().count());
    let most = exception.unwrap_or(usual);
    let what = if lines > most {
        format!("{lines} lines, {most} are allowed: split it by meaning")
    } else if exception.is_some() && lines <= usual {
        format!("{lines} lines: no longer an exception, take it off the list in tests/tidy/code.rs")
    } else {
        return Vec::new();
    };
    vec![Finding::new(&file.path, 0, what)]
}

/// Tests that are ignored under another name than `long_...`: `cargo xtask test --long` runs that name only.
pub(crate) fn misnamed_ignored_tests(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut is_ignored = false;
    for (index, line) in code_only(&file.text).lines().enumerate() {
        is_ignored |= line.contains("#[ignore");
        let Some(name) = function_name(line) else {
            continue;
        };
        if is_ignored && !name.starts_with("long_") {
            let what = format!("{name} is ignored, so nothing runs it: name it long_{name}");
            findings.push(Finding::new(&file.path, index + 1, what));
        }
        is_ignored = false;
    }
    findings
}

/// Pauses in tests: they make tests slow where they are right and flaky where they are wrong. What cannot be waited
/// for, such as another's child process, is polled by a function named `eventually`, or in the harness.
pub(crate) fn sleeps_in_tests(file: &File) -> Vec<Finding> {
    if !file.is_rust() || file.path.starts_with("tests/harness/") {
        return Vec::new();
    }
    let tests_begin = if is_test_file(file) {
        Some(0)
    } else {
        first_test_line(file)
    };
    let code = code_only(&file.text);
    let mut function = "";
    let mut findings = Vec::new();
    for (index, line) in code.lines().enumerate() {
        function = function_name(line).unwrap_or(function);
        let is_test = tests_begin.is_some_and(|begin| index >= begin);
        if is_test && function != "eventually" && has_word(line, "sleep") && line.contains("sleep(")
        {
            let what = "a test waits for an event, or polls in a function named eventually";
            findings.push(Finding::new(&file.path, index + 1, what));
        }
    }
    findings
}

fn is_test_file(file: &File) -> bool {
    let in_folder = file.path.starts_with("tests/") || file.path.contains("/tests/");
    in_folder || file.path.ends_with("/tests.rs")
}

/// How many lines stand before the inline tests, if there are any.
fn first_test_line(file: &File) -> Option<usize> {
    let lines: Vec<&str> = file.text.lines().collect();
    lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{')
    })
}

fn function_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().split_once("fn ")?;
    // Nothing but qualifiers stands before the fn of an item.
    let is_item = rest
        .0
        .split_whitespace()
        .all(|word| word.starts_with("pub") || word == "async");
    let name = rest.1.split(['(', '<']).next()?.trim();
    (is_item && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_outside_its_crates_is_found_and_words_about_it_are_not() {
        let source = "// unsafe\nlet text = \"unsafe\";\nunsafe { f() }\n#![allow(unsafe_code)]\n";
        let found = misplaced_unsafe(&File::new("cli/src/main.rs", source));
        assert_eq!(lines(&found), [3, 4]);
        assert!(misplaced_unsafe(&File::new("worker/torch/src/lib.rs", source)).is_empty());
        assert!(misplaced_unsafe(&File::new("README.md", source)).is_empty());
    }

    #[test]
    fn long_file_is_found_but_its_inline_tests_do_not_count() {
        let long = "fn f() {}\n".repeat(MAX_LINES + 1);
        assert_eq!(too_long(&File::new("cli/src/a.rs", &long)).len(), 1);
        assert!(too_long(&File::new("cli/src/a/tests.rs", &long)).is_empty());
        let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(too_long(&File::new("cli/src/a.rs", &tested)).is_empty());
    }

    #[test]
    fn exception_may_not_grow_and_goes_when_it_is_no_longer_one() {
        let allowed = [("cli/src/a.rs", MAX_LINES + 10)];
        let of = |lines: usize| File::new("cli/src/a.rs", &"x\n".repeat(lines));
        assert!(too_long_with(&of(MAX_LINES + 10), &allowed).is_empty());
        assert!(
            too_long_with(&of(MAX_LINES + 11), &allowed)[0]
                .what
                .contains("split it")
        );
        assert!(
            too_long_with(&of(MAX_LINES), &allowed)[0]
                .what
                .contains("take it off")
        );
    }

    #[test]
    fn ignored_test_of_another_name_is_found() {
        let source = "#[test]\n#[ignore = \"slow\"]\nfn accuracy() {}\n\n#[test]\nfn short() {}\n\n\
                      #[test]\n#[ignore]\nasync fn long_chaos() {}\n";
        let found = misnamed_ignored_tests(&File::new("cli/src/a.rs", source));
        assert_eq!(lines(&found), [3]);
        assert!(found[0].what.contains("long_accuracy"), "{}", found[0]);
    }

    #[test]
    fn sleep_in_a_test_is_found_and_one_in_the_product_is_not() {
        let source = "fn f() { thread::sleep(d); }\n#[cfg(test)]\nmod tests {\n    fn t() { tokio::time::sleep(d); }\n}\n";
        assert_eq!(
            lines(&sleeps_in_tests(&File::new("cli/src/a.rs", source))),
            [4]
        );
        assert_eq!(
            lines(&sleeps_in_tests(&File::new("cli/src/a/tests.rs", source))),
            [1, 4]
        );
        assert!(sleeps_in_tests(&File::new("tests/harness/wait.rs", source)).is_empty());
        let polling = source.replace("fn t()", "fn eventually()");
        assert!(sleeps_in_tests(&File::new("cli/src/a.rs", &polling)).is_empty());
    }
}
