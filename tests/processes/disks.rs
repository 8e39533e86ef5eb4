//! Coordinators whose folders were damaged, emptied, or are full: what the program says, and how it ends.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use convoy_client::{ClientError, CoordinatorsClient};
use harness::coordinators::Coordinators;
use harness::{binary, signal};

use crate::cluster::{Cluster, spec};
use crate::machine::mount_namespace;

const SEGMENT: &str = "log-00000000000000000001.wal";

/// Length of a segment, as it is preallocated.
const SEGMENT_BYTES: u64 = 64 << 20;

/// What is done to a folder, and undone.
struct Damage {
    name: &'static str,
    act: fn(&Path),
    undo: fn(&Path),
    /// Of what is said after the folder's name: the beginning and the end.
    expected: (&'static str, &'static str),
}

const REPLACE: &str =
    "or replace this replica by a new one (its data folder emptied, under a new id)";

const DAMAGES: &[Damage] = &[
    Damage {
        name: "the only segment is missing",
        act: |folder| hide(folder, SEGMENT),
        undo: |folder| unhide(folder, SEGMENT),
        expected: ("the log (log-*.wal) is missing; put it back, ", REPLACE),
    },
    Damage {
        name: "a byte in the middle of a segment is flipped",
        act: |folder| flip(folder, 160),
        undo: |folder| flip(folder, 160),
        expected: (
            "log-00000000000000000001.wal is damaged at byte 128: the checksum of a record's payload is wrong, and what comes \
             after it shows that it was durable, entries 1 to ",
            REPLACE,
        ),
    },
    Damage {
        name: "a segment is cut",
        act: |folder| set_len(folder, SEGMENT_BYTES - 1),
        undo: |folder| set_len(folder, SEGMENT_BYTES),
        expected: (
            "log-00000000000000000001.wal is 67108863 bytes long and should be 67108864: it was cut or extended from outside; ",
            REPLACE,
        ),
    },
    Damage {
        name: "the file with the folder's birth is missing",
        act: |folder| hide(folder, "births.bin"),
        undo: |folder| unhide(folder, "births.bin"),
        expected: (
            "this folder holds a log up to entry ",
            ", but births.bin is missing: put it back, or replace this replica by a new one",
        ),
    },
    Damage {
        name: "a segment is none of ours",
        act: |folder| flip(folder, 0),
        undo: |folder| flip(folder, 0),
        expected: ("log-00000000000000000001.wal begins with [", REPLACE),
    },
    Damage {
        name: "everything is gone",
        act: |folder| fs::rename(folder, folder.with_extension("hidden")).unwrap(),
        undo: |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::rename(folder.with_extension("hidden"), folder).unwrap();
        },
        expected: (
            "is empty. If this is the first start of a new cluster, start each of its coordinators once with --create-cluster. ",
            "then start it with the new id and `join = true`",
        ),
    },
];

fn hide(folder: &Path, name: &str) {
    fs::rename(folder.join(name), folder.with_extension("hidden")).unwrap();
}

fn unhide(folder: &Path, name: &str) {
    fs::rename(folder.with_extension("hidden"), folder.join(name)).unwrap();
}

fn segment(folder: &Path) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(folder.join(SEGMENT));
    file.unwrap()
}

fn flip(folder: &Path, offset: u64) {
    let file = segment(folder);
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

fn set_len(folder: &Path, bytes: u64) {
    segment(folder).set_len(bytes).unwrap();
}

/// One that follows, after it has everything.
fn follower(cluster: &Cluster) -> u64 {
    cluster.all_caught_up();
    let leader = cluster.leader();
    let ids = cluster.coordinators.ids();
    ids.into_iter().find(|id| *id != leader).unwrap()
}

#[test]
fn damaged_folder_is_refused_with_file_place_and_advice_and_stays_as_it_is() {
    let mut cluster = Cluster::start();
    cluster.submit("first");
    let id = follower(&cluster);
    cluster.coordinators.kill(&[id]);
    let folder = cluster.coordinators.data(id);
    for Damage {
        name,
        act,
        undo,
        expected: (beginning, end),
    } in DAMAGES
    {
        act(&folder);
        let (status, said) = cluster.coordinators.ends(id, &[]);
        undo(&folder);
        assert_eq!(status.code(), Some(1), "{name}: {said}");
        let place = folder.display().to_string();
        let last = said.lines().last().unwrap_or_default();
        let words = last.strip_prefix("error: ").unwrap_or(last);
        let words = words.strip_prefix(place.as_str()).unwrap_or(words);
        let words = words.trim_start_matches([':', ' ']);
        assert!(words.starts_with(beginning), "{name}: {last}");
        assert!(words.ends_with(end), "{name}: {last}");
        assert!(!said.contains("panicked"), "{name}: {said}");
    }
    // Whole again, it goes on.
    cluster.coordinators.restart(id);
    cluster.all_caught_up();
}

#[test]
fn garbage_behind_the_log_is_cut_and_the_coordinator_goes_on() {
    let mut cluster = Cluster::start();
    cluster.submit("first");
    let id = follower(&cluster);
    cluster.coordinators.kill(&[id]);
    let file = segment(&cluster.coordinators.data(id));
    file.write_all_at(&[7; 300], SEGMENT_BYTES / 2).unwrap();
    cluster.coordinators.restart(id);
    cluster.submit("second");
    cluster.all_caught_up();
    let log = cluster.coordinators.log(id);
    assert!(log.contains("the log's torn end was cut"), "{log}");
}

#[test]
fn coordinator_that_lost_its_folder_is_sent_away_and_comes_back_under_a_new_id() {
    let mut cluster = Cluster::start();
    cluster.submit("first");
    let old = follower(&cluster);
    cluster.coordinators.kill(&[old]);
    fs::remove_dir_all(cluster.coordinators.data(old)).unwrap();
    // Whoever takes the advice for new clusters is stopped by the others.
    let (status, said) = cluster.coordinators.ends(old, &["--create-cluster"]);
    let known = said.lines().last().unwrap_or_default();
    assert!(known.starts_with("error: replica "), "{said}");
    // What another noticed first: that its entries are gone, or that its folder is another one.
    let reasons = [
        "the disk lost synced writes; it must come back empty, under a new id",
        "a replica whose disk was lost must come back under a new id, added as a learner",
    ];
    assert!(
        reasons.iter().any(|reason| known.ends_with(reason)),
        "{said}"
    );
    assert_eq!(status.signal(), Some(6), "it aborts: {said}");
    let new = 4;
    cluster.coordinators.join(new);
    let address = cluster.coordinators.endpoint(new).parse().unwrap();
    let client = CoordinatorsClient::of(cluster.caller());
    cluster.eventually("the replacement", || {
        let step = cluster.wait_on(client.replace(old, new, &address));
        step.is_ok_and(|waits_for| waits_for.is_none())
            .then_some(())
    });
    let members = cluster.wait_on(client.status()).unwrap().members;
    let ids: Vec<u64> = members.iter().map(|member| member.id).collect();
    let mut expected = cluster.coordinators.ids();
    expected.retain(|id| *id != old);
    expected.push(new);
    assert_eq!(ids, expected);
    cluster.lead(new);
    cluster.submit("second");
    let names: Vec<String> = cluster
        .jobs_after(0)
        .into_iter()
        .map(|job| job.name)
        .collect();
    assert_eq!(names, ["first", "second"]);
}

/// Room for the log, its reserve and the next segment, and enough beside.
const DISK: &str = "size=600m";

/// Leaves less than a coordinator wants to have free.
const FILLER_BYTES: u64 = 300 << 20;

/// Runs what follows it with an own disk on a folder.
const ON_DISK: &str = r#"folder=$1 options=$2; shift 2
mkdir "$folder" && mount -t tmpfs -o "$options" test "$folder" || exit 99
exec "$@""#;

/// A coordinator on a disk of its own; dropped, it is killed.
struct Alone(Child);

impl Drop for Alone {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn coordinator_on_a_full_disk_refuses_writes_with_the_numbers_and_serves_reads() {
    let Some(namespace) = mount_namespace() else {
        return;
    };
    let coordinators = Coordinators::alone();
    let data = coordinators.data(1);
    let log = File::create(coordinators.folder().join("log")).unwrap();
    let child = Command::new("unshare")
        .args([namespace, "sh", "-c", ON_DISK, "sh"])
        .arg(&data)
        .arg(DISK)
        .arg(binary("convoy-coordinator"))
        .arg("--config")
        .arg(coordinators.config(1))
        .arg("--create-cluster")
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    let mut alone = Alone(child.unwrap());
    let cluster = Cluster::of(coordinators);
    let job = cluster.submit("first");
    // What is mounted there is seen through the process only.
    let seen = format!("/proc/{}/root{}", alone.0.id(), data.display());
    let filler = Path::new(&seen).join("filler");
    let mut file = File::create(&filler).unwrap();
    let zeroes = vec![0; 1 << 20];
    for _ in 0..FILLER_BYTES >> 20 {
        file.write_all(&zeroes).unwrap();
    }
    // Held open, it would keep its room after it was removed.
    drop(file);
    let jobs = cluster.client();
    let submit = || cluster.wait_on(jobs.submit(spec("more"), 1));
    let message = cluster.eventually("a refusal", || match submit() {
        Ok(_) => None,
        Err(ClientError::Refused { message, .. }) => Some(message),
        Err(
            error @ (ClientError::Unreachable(_)
            | ClientError::Lost { .. }
            | ClientError::Malformed { .. }),
        ) => panic!("{error}"),
    });
    let beginning = "nothing is written down at the moment: ";
    let end = " bytes are free on the disk of the data folder, writes are refused below 268435456";
    assert!(
        message.starts_with(beginning) && message.ends_with(end),
        "{message}"
    );
    let view = cluster.wait_on(jobs.describe(&job)).unwrap();
    assert_eq!(view.name, "first");
    fs::remove_file(&filler).unwrap();
    cluster.eventually("writes to be taken again", || submit().ok());
    signal(alone.0.id(), "TERM");
    assert_eq!(alone.0.wait().unwrap().code(), Some(0));
}
