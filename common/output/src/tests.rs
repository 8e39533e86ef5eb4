//! This test binary started again, with outputs that take nothing.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::{answer, notice};

const ROLE: &str = "CONVOY_OUTPUT_TEST_ROLE";

/// Not a test of its own: what the children of the others run.
#[test]
fn role_in_a_child() {
    if std::env::var_os(ROLE).is_some() {
        answer("a line");
        notice("a line");
    }
}

fn speaks_to(out: Stdio, err: Stdio) {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::role_in_a_child",
            "--nocapture",
            "--quiet",
        ])
        .env(ROLE, "speaker")
        .stdout(out)
        .stderr(err)
        .status()
        .unwrap();
    // The harness of the tests has words of its own, which it must be able to say.
    assert!(ended.success(), "{ended}");
}

#[test]
fn a_reader_that_is_gone_and_a_full_disk_are_no_errors() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    speaks_to(Stdio::null(), writer.into());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    speaks_to(Stdio::null(), full.into());
}
