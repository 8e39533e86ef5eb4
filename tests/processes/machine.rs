//! What a machine lacks: a disk for checkpoints, and libtorch.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Bench, Ended, binary};

use super::{refused, unchanged};

/// A disk with room for the probe's one page, and for less than one rank's slice of the smallest model.
const TINY: &str = "size=32k";

/// Runs what follows it with an own disk on a folder, then lists what is left in it: outside of the namespace nothing of it
/// can be seen.
const ON_DISK: &str = r#"folder=$1 options=$2 left=$3; shift 3
mount -t tmpfs -o "$options" test "$folder" || exit 99
"$@"; code=$?
find "$folder" -mindepth 1 > "$left"; exit $code"#;

/// Options of `unshare` with which this user may mount; none where the machine forbids it.
pub(crate) fn mount_namespace() -> Option<&'static str> {
    let namespace = ["-rm", "-m"].into_iter().find(|options| {
        let mount = ["sh", "-c", "mount -t tmpfs none /mnt"];
        let tried = Command::new("unshare")
            .arg(options)
            .args(mount)
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    });
    if namespace.is_none() {
        // Not by a macro, whose output tests hide.
        let line = b"skipped: a disk of its own needs `unshare -rm` with `mount -t tmpfs`, which this machine forbids\n";
        std::io::stderr().write_all(line).unwrap();
    }
    namespace
}

/// How a run ended whose checkpoints go to a disk mounted with `options`, and what is left there.
fn run_with_disk(bench: &Bench, namespace: &str, options: &str) -> (Ended, Vec<String>) {
    let checkpoints = bench.folder.path().join("checkpoints");
    let left = bench.folder.path().join("left");
    fs::create_dir(&checkpoints).unwrap();
    fs::write(&left, "").unwrap();
    let mut command = Command::new("unshare");
    command
        .args([namespace, "sh", "-c", ON_DISK, "sh"])
        .arg(&checkpoints)
        .arg(options)
        .arg(&left)
        .arg(binary("convoy"));
    let spec = bench.spec(2, unchanged);
    let ended = bench.run_by(command, &spec, 2, &[]).wait();
    let left = fs::read_to_string(left).unwrap();
    (ended, left.lines().map(str::to_owned).collect())
}

#[test]
fn a_full_disk_fails_the_job_and_leaves_nothing_half_written() {
    let Some(namespace) = mount_namespace() else {
        return;
    };
    let bench = Bench::new();
    let (ended, left) = run_with_disk(&bench, namespace, TINY);
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    let folder = bench.folder.path().join("checkpoints");
    let words = [
        "No space left on device",
        folder.to_str().unwrap(),
        "choose another folder",
    ];
    refused(&bench, &ended, &words);
    // A slice that found room is whole, and without a manifest it is no checkpoint.
    for path in left.iter().filter(|path| !path.ends_with("/step-00000010")) {
        let is_slice = path.contains("/slice-g") && path.ends_with(".safetensors");
        assert!(is_slice || path.ends_with("/tiny-1"), "{path} is left");
    }
}

#[test]
fn a_read_only_disk_is_refused_before_anything_starts() {
    let Some(namespace) = mount_namespace() else {
        return;
    };
    let bench = Bench::new();
    let (ended, left) = run_with_disk(&bench, namespace, "ro");
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    let folder = bench.folder.path().join("checkpoints");
    let words = [
        "checkpoints.folder can't be written to",
        "Read-only file system",
        folder.to_str().unwrap(),
        "choose another folder",
    ];
    refused(&bench, &ended, &words);
    assert!(!ended.text.contains("agent started"), "{}", ended.text);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_check_of_the_worker_ends_with_whoever_asked_for_it() {
    let check = Command::new(binary("convoy-worker"))
        .args(["--check", "--parent-pid", &u32::MAX.to_string()])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(1), "{words}");
    assert!(
        words.starts_with("error: the process that started this one (pid 4294967295) is gone"),
        "{words}"
    );
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
    refused(&bench, &ended, &words);
}

#[test]
fn a_libtorch_of_another_version_is_told_with_what_to_run() {
    let bench = Bench::new();
    // What the worker prints when another libtorch was loaded; that it notices has tests in `worker/torch`.
    let worker = "#!/bin/sh\necho 'error: the loaded libtorch is version 2.10.0, this convoy-worker was built for \
                  2.11.0: run `cargo xtask quickstart`, or name the folder of a libtorch 2.11.0 in LD_LIBRARY_PATH' >&2\nexit 1\n";
    let command = convoy_with_worker(&bench, worker.as_bytes());
    let ended = bench
        .run_by(command, &bench.spec(1, unchanged), 2, &[])
        .wait();
    let words = [
        "could not be started: the loaded libtorch is version 2.10.0",
        "2.11.0",
        "cargo xtask quickstart",
    ];
    refused(&bench, &ended, &words);
}

#[test]
fn libraries_that_lack_a_symbol_are_told_with_what_to_run() {
    let bench = Bench::new();
    // What the dynamic linker says of a libtorch that is older or newer than its version shows.
    let worker = "#!/bin/sh\necho \"$0: symbol lookup error: $0: undefined symbol: _ZN2at4sumE\" >&2\nexit 127\n";
    let command = convoy_with_worker(&bench, worker.as_bytes());
    let ended = bench
        .run_by(command, &bench.spec(1, unchanged), 2, &[])
        .wait();
    let words = ["lack _ZN2at4sumE", "2.11.0", "cargo xtask quickstart"];
    refused(&bench, &ended, &words);
}
