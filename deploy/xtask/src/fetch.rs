//! Small Python programs for what Python's own library does well: HTTPS and zip archives.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::commands;

/// Seconds without a byte after which a download fails.
const HTTPS: &str = "
import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as source, open(sys.argv[2], 'wb') as target:
    shutil.copyfileobj(source, target)
";

/// Extracts the members that begin with one of the given prefixes; zipfile checks each one's CRC.
const UNZIP: &str = "
import sys, zipfile
target, archive, prefixes = sys.argv[1], sys.argv[2], tuple(sys.argv[3:])
with zipfile.ZipFile(archive) as wheel:
    members = [m for m in wheel.namelist() if m.startswith(prefixes)]
    if not members:
        sys.exit(f'{archive} holds none of {prefixes}')
    wheel.extractall(target, members)
";

/// Fetches one file over HTTPS; what arrives is for the caller to check.
pub(crate) fn https(url: &str, target: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", HTTPS, url]).arg(target);
    commands::capture(&mut python, &format!("fetching {url}")).map(drop)
}

/// Unpacks the members of a zip archive whose names begin with one of `prefixes`.
pub(crate) fn unzip(archive: &Path, target: &Path, prefixes: &[&str]) -> Result<()> {
    let mut python = Command::new("python3");
    python
        .args(["-c", UNZIP])
        .arg(target)
        .arg(archive)
        .args(prefixes);
    commands::capture(&mut python, &format!("unpacking {}", archive.display())).map(drop)
}
