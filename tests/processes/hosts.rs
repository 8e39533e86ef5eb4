//! A cluster as on real hosts: a coordinator and agents of their own, each with a configuration file, and jobs that are
//! submitted to them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use harness::{Bench, Run, binary, convoy, eventually, signal};
use serde_json::Value;

use super::{ENDLESS, unchanged};

/// One coordinator, and nodes of one slot each.
struct Cluster {
    bench: Bench,
    address: String,
    coordinator: Run,
    nodes: Vec<(&'static str, Run)>,
}

impl Cluster {
    fn start(nodes: &[&'static str]) -> Self {
        let bench = Bench::new();
        // Free a moment ago; the tests of this folder run one after the other.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("http://127.0.0.1:{port}");
        let text = format!("id = 1\nlisten = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\n");
        let coordinator = daemon(
            &bench,
            "coordinator",
            "convoy-coordinator",
            &text,
            &["--create-cluster"],
        );
        let nodes = nodes.iter().map(|node| {
            let work = bench.folder.path().join(node).join("work");
            fs::create_dir_all(&work).unwrap();
            symlink(bench.folder.path().join("data"), work.join("data")).unwrap();
            let text = format!(
                "node_id = \"{node}\"\ncoordinators = [\"{address}\"]\nslots = 1\nwork_dir = \"work\"\n\
                 log_dir = \"logs\"\nworker_memory_limit_mib = 16384\n[labels]\nname = \"{node}\"\n"
            );
            (*node, daemon(&bench, node, "convoy-agent", &text, &[]))
        });
        let nodes = nodes.collect();
        let cluster = Self {
            bench,
            address,
            coordinator,
            nodes,
        };
        eventually("every node is there", || {
            cluster.list("nodes").len() == cluster.nodes.len()
        });
        cluster
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = convoy();
        command
            .env("CONVOY_COORDINATORS", &self.address)
            .args(arguments);
        command
    }

    /// Exit code, and everything that was printed.
    fn convoy(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        let (code, text) = self.convoy(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    }

    /// A command that takes a while; its folder is `name`.
    fn begins(&self, name: &str, arguments: &[&str]) -> Run {
        let folder = self.bench.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        Run::start(self.command(arguments), &folder)
    }

    /// Submits a job of one worker; its id.
    fn submit(&self, epochs: u32) -> String {
        let spec = self.bench.spec(epochs, unchanged);
        let id = self.says(&["submit", spec.to_str().unwrap(), "--workers", "1"]);
        id.trim_end().to_owned()
    }

    /// The lines of `convoy nodes` or `convoy ps --all`; none while nobody leads.
    fn list(&self, what: &str) -> Vec<Value> {
        let arguments: &[&str] = match what {
            "nodes" => &["nodes", "-o", "json"],
            _ => &["ps", "--all", "-o", "json"],
        };
        let (code, text) = self.convoy(arguments);
        if code != Some(0) {
            return Vec::new();
        }
        let list: Value = serde_json::from_str(&text).unwrap();
        list[what].as_array().unwrap().clone()
    }

    /// Waits until a job is in a state; its line in `convoy ps`.
    fn until(&self, job: &str, state: &str) -> Value {
        let mut line = Value::Null;
        eventually(&format!("{job} is {state}"), || {
            let lines = self.list("jobs");
            line = lines
                .into_iter()
                .find(|line| line["job"] == job)
                .unwrap_or_default();
            line["state"] == state
        });
        line
    }

    fn described(&self, job: &str) -> Value {
        serde_json::from_str(&self.says(&["describe", job, "-o", "json"])).unwrap()
    }

    /// Everything ends in order when it is told to.
    fn end(self) {
        let agents = self.nodes.into_iter().map(|(_, run)| run);
        for run in agents.chain([self.coordinator]) {
            signal(run.pid(), "TERM");
            let ended = run.wait();
            assert_eq!(ended.code, Some(0), "{}", ended.text);
        }
    }
}

/// Starts one of our programs in a folder of its own, with a configuration file there.
fn daemon(bench: &Bench, name: &str, program: &str, configuration: &str, more: &[&str]) -> Run {
    let folder = bench.folder.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new(binary(program));
    command.arg("--config").arg(file).args(more);
    Run::start(command, &folder)
}

#[test]
fn jobs_run_side_by_side_and_one_that_finds_no_slot_waits_with_the_reason() {
    let cluster = Cluster::start(&["n1", "n2"]);
    let first = cluster.submit(ENDLESS);
    let second = cluster.submit(ENDLESS);
    for job in [&first, &second] {
        cluster.until(job, "training");
    }
    let spec = cluster.bench.spec(2, unchanged);
    let submit = ["submit", spec.to_str().unwrap(), "--workers", "1", "--wait"];
    let mut third = cluster.begins("third", &submit);
    third.wait_for_line("tiny-3");
    let reason = "waits for 1 more worker slot: 1 wanted, 0 free on 2 nodes with 2 slots";
    assert_eq!(cluster.until("tiny-3", "waiting")["reason"], reason);
    for (node, job) in cluster.list("nodes").iter().zip([&first, &second]) {
        assert_eq!(node["used"][0]["job"], job.as_str(), "{node}");
        assert_eq!(node["labels"]["name"], node["node"]);
        assert_eq!(node["worker_memory_bytes"], 16384u64 << 20);
    }
    let follower = cluster.begins("follower", &["logs", "tiny-3", "--follow"]);

    let cancelled = cluster.says(&["cancel", &first, "--reason", "room is needed"]);
    assert_eq!(cancelled, "job tiny-1 is cancelled: room is needed\n");
    let ended = third.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("finished"), "{}", ended.text);
    let described = cluster.described("tiny-3");
    let place = (&described["state"], &described["workers"][0]["node"]);
    assert_eq!(place, (&"finished".into(), &"n1".into()));
    let folder = described["checkpoints"][0]["folder"].as_str().unwrap();
    let work = cluster.bench.folder.path().join("n1/work/checkpoints");
    assert!(Path::new(folder).starts_with(&work), "{folder}");
    let followed = follower.wait();
    let written = fs::read_to_string(
        cluster
            .bench
            .folder
            .path()
            .join("n1/logs/tiny-3/worker-0.log"),
    );
    let last = written.unwrap().lines().last().unwrap().to_owned();
    assert_eq!(followed.code, Some(0), "{}", followed.text);
    assert!(
        followed.text.contains(&last),
        "{last:?} is not in {}",
        followed.text
    );

    // The spec is kept, with the paths as they were written.
    assert_eq!(cluster.says(&["resubmit", "tiny-3"]), "tiny-4\n");
    cluster.until("tiny-4", "finished");
    cluster.says(&["cancel", &second]);
    cluster.end();
}

#[test]
fn logs_are_shown_of_workers_that_run_and_that_ended_and_a_node_that_is_gone_is_named() {
    let mut cluster = Cluster::start(&["n1"]);
    let job = cluster.submit(ENDLESS);
    cluster.until(&job, "training");
    let whole = cluster.says(&["logs", &job]);
    assert!(whole.lines().count() > 1, "{whole}");
    let last = cluster.says(&["logs", &job, "--rank", "0", "--tail", "1"]);
    assert_eq!(last.lines().count(), 1, "{last}");
    let (code, text) = cluster.convoy(&["logs", &job, "--worker", "4"]);
    assert_eq!(code, Some(1));
    assert_eq!(text, "error: job tiny-1 has no worker 4: it has worker 0\n");
    let (code, text) = cluster.convoy(&["describe", "tny-1"]);
    assert_eq!(code, Some(1));
    assert_eq!(text, "error: there is no job tny-1; did you mean tiny-1?\n");

    cluster.says(&["cancel", &job]);
    cluster.until(&job, "cancelled");
    let ended = cluster.says(&["logs", &job, "--follow"]);
    assert!(ended.starts_with(&whole), "{ended}");

    drop(cluster.nodes.pop());
    let (code, text) = cluster.convoy(&["logs", &job]);
    assert_eq!(code, Some(1));
    let words = "node n1 can't be reached, which has the log of worker 0 of job tiny-1";
    assert!(text.contains(words), "{text}");
    cluster.end();
}
