//! What a machine lacks: space for checkpoints, and libtorch.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Bench, binary};

use super::{refused, unchanged};

/// Room for the probe's one page, and for less than one rank's slice of the smallest model.
const TINY_DISK: &str = "32k";

/// Runs what follows it with a file system of that size on a folder, then lists what is left in it: outside of the
/// namespace nothing of it can be seen.
const ON_TINY_DISK: &str = r#"folder=$1 size=$2 left=$3; shift 3
mount -t tmpfs -o "size=$size" tiny "$folder" || exit 99
"$@"; code=$?
find "$folder" -type f > "$left"; exit $code"#;

/// Options of `unshare` with which this user may mount; none where the machine forbids it.
fn mount_namespace() -> Option<&'static str> {
    ["-rm", "-m"].into_iter().find(|options| {
        let mount = ["sh", "-c", "mount -t tmpfs none /mnt"];
        let tried = Command::new("unshare")
            .arg(options)
            .args(mount)
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    })
}

#[test]
fn a_full_disk_fails_the_job_and_leaves_nothing_half_written() {
    let Some(namespace) = mount_namespace() else {
        // Not by a macro, whose output tests hide.
        let line = b"skipped: a full disk needs `unshare -rm` with `mount -t tmpfs`, which this machine forbids\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    };
    let bench = Bench::new();
    let checkpoints = bench.folder.path().join("checkpoints");
    let left = bench.folder.path().join("left");
    fs::create_dir(&checkpoints).unwrap();
    let mut command = Command::new("unshare");
    command
        .args([namespace, "sh", "-c", ON_TINY_DISK, "sh"])
        .arg(&checkpoints)
        .arg(TINY_DISK)
        .arg(&left)
        .arg(binary("convoy"));
    let ended = bench
        .run_by(command, &bench.spec(2, unchanged), 2, &[])
        .wait();
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    let folder = checkpoints.display().to_string();
    refused(
        &ended,
        &["No space left on device", &folder, "choose another folder"],
    );
    assert_eq!(bench.summary()["outcome"], "failed");
    // A slice that found room is whole, and without a manifest it is no checkpoint.
    for file in fs::read_to_string(left).unwrap().lines() {
        assert!(
            file.contains("/slice-g") && file.ends_with(".safetensors"),
            "{file} is left"
        );
    }
}

/// `convoy` in a folder of its own, with an agent and `worker` beside it.
fn convoy_with_worker(bench: &Bench, worker: &[u8]) -> Command {
    let folder = bench.folder.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let place = |name: &str| -> PathBuf { folder.join(name) };
    for name in ["convoy", "convoy-agent"] {
        fs::copy(binary(name), place(name)).unwrap();
    }
    write_program(&place("convoy-worker"), worker);
    let mut command = Command::new(place("convoy"));
    command.env_remove("LD_LIBRARY_PATH");
    command
}

fn write_program(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_missing_libtorch_is_told_with_what_to_run() {
    let bench = Bench::new();
    // The real worker, but the name of the library it needs is one that is nowhere.
    let mut worker = fs::read(binary("convoy-worker")).unwrap();
    let (name, nowhere) = (b"libtorch_cpu.so\0", b"libtorch_xyz.so\0");
    let places: Vec<usize> = (0..worker.len() - name.len())
        .filter(|at| worker[*at..].starts_with(name))
        .collect();
    assert!(!places.is_empty(), "convoy-worker needs no libtorch_cpu.so");
    for at in places {
        worker[at..at + nowhere.len()].copy_from_slice(nowhere);
    }
    let command = convoy_with_worker(&bench, &worker);
    let ended = bench
        .run_by(command, &bench.spec(1, unchanged), 2, &[])
        .wait();
    let words = [
        "libtorch 2.11.0 was not found",
        "libtorch_xyz.so",
        "cargo xtask quickstart",
    ];
    refused(&ended, &words);
}

#[test]
fn a_libtorch_of_another_version_is_told_with_what_to_run() {
    let bench = Bench::new();
    // What the worker prints when another libtorch was loaded; that it notices has tests in `worker/torch`.
    let worker = "#!/bin/sh\necho 'Error: the loaded libtorch is version 2.10.0, this convoy-worker was built for \
                  2.11.0: run `cargo xtask quickstart`, or name the folder of a libtorch 2.11.0 in LD_LIBRARY_PATH' >&2\nexit 1\n";
    let command = convoy_with_worker(&bench, worker.as_bytes());
    let ended = bench
        .run_by(command, &bench.spec(1, unchanged), 2, &[])
        .wait();
    refused(
        &ended,
        &["version 2.10.0", "2.11.0", "cargo xtask quickstart"],
    );
}
