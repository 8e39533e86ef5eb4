//! `convoy nodes`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use comfy_table::Table;
use convoy_client::JobsClient;
use convoy_output::answer;
use convoy_proto::v1;
use serde::Serialize;

use super::block_on;
use crate::arguments::{NodesArguments, OutputForm};
use crate::display::plain_table;
use crate::words::{grouped, one_line};

/// Lists nodes by their ids.
pub(crate) fn nodes(arguments: &NodesArguments) -> anyhow::Result<ExitCode> {
    let jobs = JobsClient::of(arguments.coordinators.caller()?);
    let list = block_on(async { Ok(jobs.list_nodes().await?) })?;
    match arguments.output {
        OutputForm::Table => answer(table(&list)),
        OutputForm::Json => {
            let nodes = list.iter().map(Shown::of).collect();
            answer(serde_json::to_string_pretty(&ShownNodes { nodes })?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(list: &[v1::NodeView]) -> Table {
    let mut table = plain_table([
        "NODE", "STATE", "SLOTS", "ADDRESS", "MEMORY", "LABELS", "BUILD", "REASON",
    ]);
    for node in list {
        let labels = node
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let labels: Vec<String> = sorted(labels);
        table.add_row([
            node.node_id.clone(),
            standing(node).to_owned(),
            format!("{}/{}", node.used.len(), node.slots),
            one_line(&node.advertised_host),
            node.worker_memory_bytes.map_or_else(
                || "-".to_owned(),
                |bytes| format!("{} MiB", grouped(bytes >> 20)),
            ),
            match labels.is_empty() {
                true => "-".to_owned(),
                false => one_line(&labels.join(",")),
            },
            one_line(&node.build),
            one_line(&reason(node)),
        ]);
    }
    table
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    texts
}

fn standing(node: &v1::NodeView) -> &'static str {
    if node.lost.is_some() { "lost" } else { "alive" }
}

/// Why the node is lost, or what holds its slots.
fn reason(node: &v1::NodeView) -> String {
    if let Some(lost) = &node.lost {
        return lost.clone();
    }
    let mut workers_of: BTreeMap<&str, u32> = BTreeMap::new();
    for worker in node.used.iter().filter_map(|used| used.worker.as_ref()) {
        *workers_of.entry(&worker.job_id).or_default() += 1;
    }
    let free = u64::from(node.slots).saturating_sub(node.used.len() as u64);
    let mut parts: Vec<String> = Vec::new();
    for (job, workers) in workers_of {
        let noun = if workers == 1 { "worker" } else { "workers" };
        parts.push(format!("runs {workers} {noun} of {job}"));
    }
    if free > 0 || parts.is_empty() {
        parts.push(format!("{free} of {} slots free", node.slots));
    }
    parts.join(", ")
}

/// What is shown, in its form as JSON.
#[derive(Debug, Serialize)]
struct ShownNodes<'a> {
    nodes: Vec<Shown<'a>>,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    node: &'a str,
    /// alive or lost
    state: &'static str,
    reason: String,
    slots: u32,
    used: Vec<ShownUse<'a>>,
    address: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    build: &'a str,
    protocol_version: u32,
    /// Null without a limit.
    worker_memory_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ShownUse<'a> {
    slot: u32,
    job: &'a str,
    worker: u32,
    incarnation: u64,
}

impl<'a> Shown<'a> {
    fn of(node: &'a v1::NodeView) -> Self {
        let uses = node.used.iter().filter_map(|used| {
            let worker = used.worker.as_ref()?;
            Some(ShownUse {
                slot: used.slot,
                job: &worker.job_id,
                worker: worker.worker_id,
                incarnation: worker.incarnation,
            })
        });
        let labels = node.labels.iter();
        Self {
            node: &node.node_id,
            state: standing(node),
            reason: reason(node),
            slots: node.slots,
            used: uses.collect(),
            address: &node.advertised_host,
            labels: labels
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
            build: &node.build,
            protocol_version: node.protocol_version,
            worker_memory_bytes: node.worker_memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str) -> v1::NodeView {
        v1::NodeView {
            node_id: id.to_owned(),
            slots: 4,
            advertised_host: "10.0.1.11".to_owned(),
            build: "0.1.0".to_owned(),
            protocol_version: 1,
            ..Default::default()
        }
    }

    fn held(slot: u32, job: &str, worker_id: u32) -> v1::SlotUse {
        v1::SlotUse {
            slot,
            worker: Some(v1::WorkerRef {
                job_id: job.to_owned(),
                worker_id,
                incarnation: 1,
            }),
        }
    }

    #[test]
    fn each_node_is_a_line_with_its_labels_limit_and_reason() {
        let busy = v1::NodeView {
            labels: [
                ("rack".to_owned(), "r1".to_owned()),
                ("gpu".to_owned(), "h100".to_owned()),
            ]
            .into(),
            worker_memory_bytes: Some(16 << 30),
            used: vec![held(0, "a-1", 0), held(1, "b-2", 0), held(2, "b-2", 1)],
            ..node("n1")
        };
        let lost = v1::NodeView {
            lost: Some("nothing was heard of its agent for 3.1 s".to_owned()),
            ..node("n2")
        };
        let table = table(&[busy, lost]).to_string();
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                " NODE  STATE  SLOTS  ADDRESS    MEMORY      LABELS            BUILD  REASON",
                " n1    alive  3/4    10.0.1.11  16,384 MiB  gpu=h100,rack=r1  0.1.0  runs 1 worker of a-1, runs 2 workers of b-2, 1 of 4 slots free",
                " n2    lost   0/4    10.0.1.11  -           -                 0.1.0  nothing was heard of its agent for 3.1 s",
            ]
        );
    }
}
