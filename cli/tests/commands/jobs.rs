//! `convoy submit`, `ps`, `nodes`, `describe` and `cancel` against a coordinator.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::cluster::Cluster;
use crate::fixture::Place;

/// Nobody listens there: it is the port of a service that no machine has.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn submitted_job_is_listed_with_its_reason_until_it_is_cancelled() {
    let cluster = Cluster::start();
    assert_eq!(cluster.submit("2"), "shapes-1");
    let list = cluster.says(&["ps"]);
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        ["JOB", "STATE", "WORKERS", "STEP", "SPEED", "REASON"]
    );
    assert_eq!(lines[1][..5], ["shapes-1", "waiting", "0/2", "-", "-"]);
    assert!(list.contains("2 wanted, no node is connected"), "{list}");

    let cancelled = cluster.says(&["cancel", "shapes-1", "--reason", "wrong data"]);
    assert_eq!(cancelled, "job shapes-1 is cancelled: wrong data\n");
    assert_eq!(cluster.says(&["ps"]).lines().count(), 1, "only the header");
    let all = cluster.json(&["ps", "--all", "-o", "json"]);
    assert_eq!(all["jobs"][0]["job"], "shapes-1");
    assert_eq!(all["jobs"][0]["state"], "cancelled");
    assert_eq!(all["jobs"][0]["reason"], "cancelled: wrong data");
    let described = cluster.json(&["describe", "shapes-1", "-o", "json"]);
    assert_eq!(
        (&described["state"], &described["name"]),
        (&"cancelled".into(), &"shapes".into())
    );
    assert!(
        cluster
            .says(&["describe", "shapes-1"])
            .contains("wrong data")
    );
}

#[test]
fn list_that_is_longer_than_a_page_is_whole_and_in_order() {
    let cluster = Cluster::start();
    cluster.submit_many(502);
    let list = cluster.json(&["ps", "-o", "json"]);
    let numbers = list["jobs"].as_array().unwrap().iter();
    let numbers: Vec<u64> = numbers.map(|job| job["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=502).collect::<Vec<u64>>());
}

#[test]
fn job_that_is_submitted_again_keeps_its_spec_and_gets_a_new_id() {
    let cluster = Cluster::start();
    let job = cluster.submit("1");
    assert_eq!(cluster.says(&["resubmit", &job]), "shapes-2\n");
    assert_eq!(cluster.spec("shapes-2"), cluster.spec(&job));
    assert_eq!(
        cluster.says(&["resubmit", &job, "--workers", "2"]),
        "shapes-3\n"
    );
    assert_eq!(cluster.spec("shapes-3").workers, 2);
    let ran = cluster.convoy(&["resubmit", &job, "--workers", "3"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("more workers than data shards"),
        "{}",
        ran.err
    );
}

#[test]
fn logs_of_a_job_without_workers_are_refused_with_what_it_waits_for() {
    let cluster = Cluster::start();
    let job = cluster.submit("1");
    let ran = cluster.convoy(&["logs", &job]);
    assert_eq!(ran.code, Some(1));
    let words = "no worker of job shapes-1 has a slot yet: it waits for 1 worker slot";
    assert!(ran.err.contains(words), "{}", ran.err);
}

#[test]
fn relative_paths_stay_as_they_were_written() {
    let cluster = Cluster::start();
    let job = cluster.submit("1");
    let spec = cluster.spec(&job).spec_json;
    for path in ["\"data/train-images-idx3-ubyte\"", "\"checkpoints\""] {
        assert!(spec.contains(path), "{path} is not in {spec}");
    }
}

#[test]
fn files_need_not_be_on_the_machine_that_submits() {
    let cluster = Cluster::start();
    std::fs::remove_dir_all(cluster.place.path().join("data")).unwrap();
    assert_eq!(cluster.submit("1"), "shapes-1");
}

#[test]
fn unknown_job_is_told_with_the_nearest() {
    let cluster = Cluster::start();
    cluster.submit("1");
    for command in ["describe", "cancel"] {
        let ran = cluster.convoy(&[command, "shape-1"]);
        assert_eq!(ran.code, Some(1));
        assert_eq!(
            ran.err,
            "error: there is no job shape-1; did you mean shapes-1?\n"
        );
    }
    let ran = cluster.convoy(&["describe", "resnet-50"]);
    assert_eq!(
        ran.err,
        "error: there is no job resnet-50; `convoy ps --all` lists those that there are\n"
    );
}

#[test]
fn wrong_spec_and_wrong_words_are_refused_without_asking_anyone() {
    let place = Place::new();
    let asked = ["--coordinator", NOBODY];
    let refused = |arguments: &[&str], words: &str| {
        let ran = place.convoy(&[arguments, &asked].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(words), "{}", ran.err);
    };
    refused(
        &["submit", "job.toml", "--workers", "3"],
        "more workers than data shards",
    );
    refused(&["describe", "../etc"], "job id \"../etc\" must be");
    refused(
        &["submit", "job.toml", "--workers", "1", "--plain"],
        "--wait",
    );
    let place = Place::new().with("small_cnn", "small_cn");
    let ran = place.convoy(&[
        "submit",
        "job.toml",
        "--workers",
        "1",
        "--coordinator",
        NOBODY,
    ]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("job.toml:4:8"), "{}", ran.err);
}

#[test]
fn nodes_are_listed_with_labels_limit_and_what_runs_there() {
    let cluster = Cluster::start();
    let mut agent = cluster.agent("n1", 3);
    let job = cluster.submit("2");
    cluster.told(&mut agent, 2);
    let list = cluster.says(&["nodes"]);
    let line: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(line[..4], ["n1", "alive", "2/3", "127.0.0.1"]);
    let words = [
        "2,048 MiB",
        "rack=r1",
        "runs 2 workers of shapes-1, 1 of 3 slots free",
    ];
    for word in words {
        assert!(list.contains(word), "{word:?} is not in {list}");
    }
    let json = cluster.json(&["nodes", "-o", "json"]);
    assert_eq!(json["nodes"][0]["labels"]["rack"], "r1");
    assert_eq!(json["nodes"][0]["worker_memory_bytes"], 2u64 << 30);
    assert_eq!(json["nodes"][0]["used"][1]["job"], job.as_str());
}

#[test]
fn coordinators_may_be_named_one_by_one_and_the_leader_is_found_among_them() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let both = format!("{NOBODY},{}", cluster.address);
    for flags in [
        vec!["--coordinator", NOBODY, "--coordinator", &cluster.address],
        vec!["--coordinators", &both],
    ] {
        let ran = place.convoy(&[&["ps"], flags.as_slice()].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        let status = [&["cluster", "status"], flags.as_slice()].concat();
        assert!(place.convoy(&status).out.starts_with("coordinator 1 leads"));
    }
}

#[test]
fn reader_who_leaves_is_no_error() {
    let cluster = Cluster::start();
    cluster.submit("1");
    for arguments in [
        ["ps", "--all"].as_slice(),
        &["nodes"],
        &["describe", "shapes-1"],
        &["ps", "-o", "json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = cluster.place.command(arguments);
        command
            .env("CONVOY_COORDINATORS", &cluster.address)
            .stdout(writer);
        let ended = command.stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), err.as_ref()), (Some(0), ""));
    }
}

#[test]
fn whoever_waits_prints_the_id_first_and_ends_as_the_job_does() {
    let cluster = Cluster::start();
    let mut command = cluster
        .place
        .command(&["submit", "job.toml", "--workers", "1", "--wait"]);
    let mut waiting = command
        .env("CONVOY_COORDINATORS", &cluster.address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(waiting.stdout.take().unwrap());
    let mut job = String::new();
    out.read_line(&mut job).unwrap();
    assert_eq!(job, "shapes-1\n");
    cluster.says(&["cancel", "shapes-1", "--reason", "enough"]);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("cancelled") && rest.contains("enough"),
        "{rest}"
    );
    assert_eq!(waiting.wait().unwrap().code(), Some(1));
}
