//! The cluster's key, which is in its file and nowhere else.

use std::fs;
use std::path::PathBuf;

/// So many bytes of the key, in a row, are no coincidence.
const TELLING_BYTES: usize = 8;

/// What every process on this machine was started with: its command line and its variables.
pub(super) fn command_lines() -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.map(|entry| entry.path());
    let told = processes.flat_map(|process| ["cmdline", "environ"].map(|what| process.join(what)));
    // A process may end meanwhile, and some are not ours to look at.
    told.filter_map(|file| fs::read(&file).ok().map(|told| (file, told)))
        .collect()
}

/// No part of `key` is in what was told, neither as it is nor in hexadecimal digits.
pub(super) fn assert_untold(key: &[u8], told: &[(PathBuf, Vec<u8>)]) {
    for (file, text) in told {
        assert!(!tells(text, key), "{} tells the key", file.display());
    }
}

fn tells(text: &[u8], key: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    key.windows(TELLING_BYTES).any(|part| {
        let digits: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        holds(text, part) || holds(&lower, digits.as_bytes())
    })
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_key_that_is_told_is_found() {
    let key: Vec<u8> = (0..32).map(|byte| byte * 7 + 3).collect();
    let digits: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
    assert!(tells(
        format!("the key is {}", &digits[10..30]).as_bytes(),
        &key
    ));
    assert!(tells(&key[4..12], &key));
    assert!(!tells(&key[4..11], &key));
}
