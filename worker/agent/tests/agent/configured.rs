//! Agents that read a configuration file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use convoy_access::ClusterKey;
use convoy_client::CoordinatorAddress;
use convoy_proto::v1::agent_directive::Directive;
use convoy_wire::redirect::Redirect;
use tempfile::TempDir;

use crate::coordinator::{Coordinator, Session};
use crate::processes::{Agent, DEVOUR, WAIT, assignment, fake_worker, worker};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A configuration of two slots with these coordinators, and more lines.
fn configuration(coordinators: &[&Coordinator], more: &str) -> String {
    let urls: Vec<&str> = coordinators
        .iter()
        .map(|coordinator| coordinator.url.as_str())
        .collect();
    let worker = fake_worker();
    format!(
        "node_id = \"n7\"\ncoordinators = {urls:?}\nslots = 2\nwork_dir = \"work\"\nworker_binary = {worker:?}\n{more}\n"
    )
}

async fn run_one(session: &mut Session, work: &str) -> Vec<String> {
    session.desire(vec![assignment(0, 1, work)]).await;
    session.started().await;
    session.exited().await.last_lines
}

/// The log of an agent that ends by itself.
async fn complaint(agent: Agent) -> String {
    assert_eq!(agent.exit().await.how, "exit code 1", "{}", agent.log());
    agent.log()
}

#[tokio::test]
async fn agent_offers_what_its_file_says() {
    let mut coordinator = Coordinator::start().await;
    let text = configuration(
        &[&coordinator],
        "advertised_address = \"10.9.8.7\"\n[labels]\nrack = \"r1\"\n\"gpu/kind\" = \"h100\"",
    );
    let _agent = Agent::configured(folder(), &text);
    let hello = coordinator.session().await.hello;
    assert_eq!((hello.node_id.as_str(), hello.slots), ("n7", 2));
    assert_eq!(hello.advertised_host, "10.9.8.7");
    let labels: Vec<_> = hello
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(labels, [("gpu/kind", "h100"), ("rack", "r1")]);
}

#[tokio::test]
async fn workers_are_told_where_to_listen_and_log_where_the_file_says() {
    let mut coordinator = Coordinator::start().await;
    let text = configuration(
        &[&coordinator],
        "interface = \"lo\"\nadvertised_address = \"10.9.8.7\"\ndata_port_range = [7800, 7801]\nlog_dir = \"logs\"\n\
         insecure = true",
    );
    let agent = Agent::configured(folder(), &text);
    let mut session = coordinator.session().await;
    let lines = run_one(&mut session, "exit 0").await;
    let expected = "--advertised-host 10.9.8.7 --listen-host 127.0.0.1 --data-ports 7800-7801 --insecure --parent-pid";
    assert!(lines[0].contains(expected), "{}", lines[0]);
    let folder = agent.folder.path();
    assert!(folder.join("logs/toy-1/worker-0.log").exists());
    assert!(folder.join("work/toy-1/spec.json").exists());
}

#[tokio::test]
async fn agent_and_coordinator_prove_the_key_and_workers_are_told_its_file() {
    let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
    let key = ClusterKey::new(&secret).unwrap();
    let mut coordinator = Coordinator::start_with_key(Some(key)).await;
    let folder = folder();
    let file = folder.path().join("cluster.key");
    write_key(&file, &secret, 0o600);
    let text = configuration(&[&coordinator], "cluster_key = \"cluster.key\"");
    let _agent = Agent::configured(folder, &text);
    let lines = run_one(&mut coordinator.session().await, "exit 0").await;
    let expected = format!("--cluster-key {} --parent-pid", file.display());
    assert!(lines[0].contains(&expected), "{}", lines[0]);
}

fn write_key(file: &Path, secret: &[u8], mode: u32) {
    fs::write(file, secret).unwrap();
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn agent_without_the_key_is_refused_and_told_what_to_do() {
    let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
    let key = ClusterKey::new(&secret).unwrap();
    let coordinator = Coordinator::start_with_key(Some(key)).await;
    let log = complaint(Agent::start(&coordinator)).await;
    assert!(log.contains("--cluster-key FILE"), "{log}");
}

#[tokio::test]
async fn key_that_others_may_read_is_refused_before_anything_is_sent() {
    let coordinator = Coordinator::start().await;
    let folder = folder();
    write_key(&folder.path().join("cluster.key"), &[7; 32], 0o644);
    let text = configuration(&[&coordinator], "cluster_key = \"cluster.key\"");
    let log = complaint(Agent::configured(folder, &text)).await;
    assert!(log.contains("has permissions 0644"), "{log}");
}

#[tokio::test]
async fn mistake_in_the_file_is_told_with_its_place() {
    let coordinator = Coordinator::start().await;
    let text = configuration(&[&coordinator], "labls = {}");
    let log = complaint(Agent::configured(folder(), &text)).await;
    assert!(
        log.contains("agent.toml:6:1: labls: unknown key; did you mean `labels`?"),
        "{log}"
    );
}

#[tokio::test]
async fn interface_that_is_not_there_is_told_with_those_that_are() {
    let coordinator = Coordinator::start().await;
    let text = configuration(&[&coordinator], "interface = \"nowhere7\"");
    let log = complaint(Agent::configured(folder(), &text)).await;
    assert!(
        log.contains("no network interface nowhere7 has an address; there are ")
            && log.contains("lo (127.0.0.1)"),
        "{log}"
    );
}

#[tokio::test]
async fn off_loopback_nothing_listens_without_a_key_or_a_word() {
    let coordinator = Coordinator::start().await;
    let flags = Agent::start_with(&coordinator, &["--advertised-host", "10.9.8.7"]);
    let log = complaint(flags).await;
    assert!(
        log.contains("10.9.8.7 can be reached from other machines")
            && log.contains("--cluster-key FILE"),
        "{log}"
    );
    let text = configuration(&[&coordinator], "listen = \"10.9.8.7\"");
    let log = complaint(Agent::configured(folder(), &text)).await;
    assert!(log.contains("agent.toml:6:10: listen: 10.9.8.7"), "{log}");
}

#[tokio::test]
async fn file_and_flags_do_not_mix() {
    let coordinator = Coordinator::start().await;
    let agent = Agent::start_with(&coordinator, &["--config", "agent.toml"]);
    assert_eq!(agent.exit().await.how, "exit code 2");
    assert!(
        agent.log().contains("cannot be used with"),
        "{}",
        agent.log()
    );
}

#[tokio::test]
async fn worker_that_uses_too_much_memory_is_ended_with_the_reason_and_its_neighbour_is_not() {
    let mut coordinator = Coordinator::start().await;
    let text = configuration(&[&coordinator], "worker_memory_limit_mib = 96");
    let _agent = Agent::configured(folder(), &text);
    let mut session = coordinator.session().await;
    let both = vec![assignment(0, 1, DEVOUR), assignment(1, 2, WAIT)];
    session.desire(both).await;
    session.started().await;
    session.started().await;
    let exited = session.exited().await;
    assert_eq!(exited.worker, Some(worker(0, 1)));
    assert!(!exited.clean);
    let how = exited.how;
    assert!(
        how.starts_with("it used ")
            && how.contains(
                " MiB of memory, more than the 96 MiB that this node allows (worker_memory_limit_mib)"
            )
            && how.ends_with("killed by signal 9 (SIGKILL)"),
        "{how}"
    );
    session.desire(vec![]).await;
    assert_eq!(session.exited().await.how, "killed by signal 15 (SIGTERM)");
}

#[tokio::test]
async fn agent_follows_the_leader_from_coordinator_to_coordinator() {
    let (mut first, mut second) = (Coordinator::start().await, Coordinator::start().await);
    second.refuse_all(redirect(&first));
    let text = configuration(&[&second, &first], "");
    let _agent = Agent::configured(folder(), &text);
    let mut session = first.session().await;
    session.desire(vec![assignment(0, 1, WAIT)]).await;
    let started = session.started().await;

    first.refuse_all(redirect(&second));
    second.accept_all();
    drop(session);
    let mut session = second.session().await;
    assert_eq!(
        session.started().await.pid,
        started.pid,
        "the worker runs on, and the new leader is told of it"
    );
    session.say(Directive::Desired(Default::default())).await;
    assert_eq!(session.exited().await.pid, started.pid);
}

fn redirect(leader: &Coordinator) -> tonic::Status {
    let leader: CoordinatorAddress = leader.url.parse().unwrap();
    Redirect {
        leader: Some(leader),
    }
    .status()
}
