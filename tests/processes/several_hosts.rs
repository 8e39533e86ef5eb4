//! A cluster on several hosts, which share neither loopback nor folders but for one with the checkpoints: coordinators on
//! three of them, agents on two. What the README says under "Several hosts" is what is done here.

use std::fs;

use harness::{AGENTS, HostedCluster, IMAGES, dataset};
use serde_json::Value;

use super::ENDLESS;

/// The host whose coordinator is cut off.
const LEADER: u8 = 1;

/// A host with neither, as seen from those that are cut off.
const BYSTANDER: u8 = 2;

/// The host with an agent and nothing else.
const AGENT: u8 = 4;

fn state(job: &Value) -> &str {
    job["state"].as_str().unwrap_or("unknown")
}

fn reason(shown: &Value) -> &str {
    shown["reason"].as_str().unwrap_or_default()
}

/// Waits until the job has done more steps than now.
fn goes_on(cluster: &HostedCluster, id: &str) {
    let before = cluster.step(BYSTANDER, id).unwrap_or(0);
    cluster.eventually("the job goes on", |cluster| {
        cluster
            .step(BYSTANDER, id)
            .is_some_and(|step| step > before)
    });
}

/// Process ids of the job's workers, each with its node.
fn workers(job: &Value) -> Vec<(String, u64)> {
    let workers = job["workers"].as_array().into_iter().flatten();
    let named = workers.filter_map(|worker| {
        let node = worker["node"].as_str()?.to_owned();
        Some((node, worker["pid"].as_u64()?))
    });
    named.collect()
}

/// Waits for the end of a job.
fn ended(cluster: &HostedCluster, id: &str) -> Value {
    cluster.eventually("the job ends", |cluster| {
        ["finished", "failed", "cancelled"].contains(&state(&cluster.job(BYSTANDER, id)))
    });
    cluster.job(BYSTANDER, id)
}

#[test]
fn a_job_runs_to_its_end_on_two_hosts_and_nobody_tells_the_key() {
    let Some(cluster) = HostedCluster::start() else {
        return;
    };
    let spec = cluster.spec(BYSTANDER, 2);
    let submitted = cluster.convoy(
        BYSTANDER,
        &["submit", &spec, "--workers", "2", "--wait", "--plain"],
    );
    let told = String::from_utf8_lossy(&submitted.stderr);
    assert_eq!(submitted.status.code(), Some(0), "{told}");
    let job = cluster.job(BYSTANDER, "tiny-1");
    assert_eq!(state(&job), "finished", "{}", reason(&job));
    let mut nodes: Vec<String> = workers(&job).into_iter().map(|(node, _)| node).collect();
    nodes.sort();
    assert_eq!(nodes, AGENTS.map(HostedCluster::node_name));
    let folder = job["checkpoints"][0]["folder"].as_str().unwrap();
    let slices = fs::read_dir(folder).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".safetensors")
    });
    assert_eq!(slices.count(), 2, "both hosts write to the shared folder");

    let key = cluster.key();
    let mut told = cluster.logs();
    assert!(told.len() > 5, "coordinators, agents and workers have logs");
    told.push((
        "convoy".into(),
        [submitted.stdout, submitted.stderr].concat(),
    ));
    told.extend(super::secrets::command_lines());
    super::secrets::assert_untold(&key, &told);
}

#[test]
fn a_job_goes_on_while_the_leaders_host_is_cut_off() {
    let Some(cluster) = HostedCluster::start() else {
        return;
    };
    let transfer = ["cluster", "transfer-leader", "--to", &LEADER.to_string()];
    cluster.eventually("the leader's host is the one to be cut off", |cluster| {
        cluster.convoy(BYSTANDER, &transfer).status.success()
    });
    let id = cluster.submit(BYSTANDER, ENDLESS);
    goes_on(&cluster, &id);
    let before = workers(&cluster.job(BYSTANDER, &id));

    cluster.network().cut(LEADER);
    cluster.eventually("another leads", |cluster| {
        let status = cluster.shown(BYSTANDER, &["cluster", "status"]);
        status["leader"]
            .as_u64()
            .is_some_and(|id| id != u64::from(LEADER))
    });
    goes_on(&cluster, &id);

    cluster.network().heal(LEADER);
    cluster.eventually("the one that was cut off follows", |cluster| {
        let status = cluster.shown(BYSTANDER, &["cluster", "status"]);
        let members = status["coordinators"].as_array();
        let mut members = members.into_iter().flatten();
        members.any(|member| member["id"] == u64::from(LEADER) && member["state"] == "follows")
    });
    let again = cluster.job(LEADER, &id);
    assert_eq!(state(&again), "training", "{}", reason(&again));
    goes_on(&cluster, &id);
    assert_eq!(
        workers(&cluster.job(BYSTANDER, &id)),
        before,
        "no worker was started anew"
    );
    let cancelled = cluster.convoy(BYSTANDER, &["cancel", &id]);
    assert!(cancelled.status.success(), "{cancelled:?}");
    assert_eq!(state(&ended(&cluster, &id)), "cancelled");
}

#[test]
fn a_node_that_is_cut_off_is_lost_with_a_reason_and_takes_the_next_job_when_it_is_back() {
    let Some(cluster) = HostedCluster::start() else {
        return;
    };
    let first = cluster.submit(BYSTANDER, ENDLESS);
    goes_on(&cluster, &first);

    cluster.network().cut(AGENT);
    let failed = ended(&cluster, &first);
    assert_eq!(state(&failed), "failed");
    let lost =
        "node gpu-04 was lost with workers 1 of this job: nothing was heard of its agent for ";
    assert!(reason(&failed).starts_with(lost), "{}", reason(&failed));
    let node = cluster.node(BYSTANDER, AGENT);
    assert_eq!(node["state"], "lost");
    assert!(
        reason(&node).starts_with("nothing was heard of its agent for "),
        "{node}"
    );
    let second = cluster.submit(BYSTANDER, 1);
    let waits = cluster.job(BYSTANDER, &second);
    assert_eq!(state(&waits), "waiting", "{}", reason(&waits));

    cluster.network().heal(AGENT);
    cluster.eventually("the node is back", |cluster| {
        cluster.node(BYSTANDER, AGENT)["state"] == "alive"
    });
    let finished = ended(&cluster, &second);
    assert_eq!(state(&finished), "finished", "{}", reason(&finished));
}

#[test]
fn hosts_with_different_data_are_told_apart() {
    let Some(cluster) = HostedCluster::start() else {
        return;
    };
    dataset(&cluster.data(AGENT), IMAGES + 8);
    let id = cluster.submit(BYSTANDER, 1);
    let failed = ended(&cluster, &id);
    assert_eq!(state(&failed), "failed");
    let told = reason(&failed);
    let beginning = format!(
        "worker 0 on node gpu-03 and worker 1 on node gpu-04 of job {id} train on different data: "
    );
    assert!(told.starts_with(&beginning), "{told}");
    for images in [IMAGES, IMAGES + 8] {
        let fingerprint = format!("{images} training and 40 test samples with index hash ");
        assert!(told.contains(&fingerprint), "{told}");
    }
    assert!(told.ends_with("; give all nodes the same files"), "{told}");
}
