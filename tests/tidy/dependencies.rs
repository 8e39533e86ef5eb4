//! Who may depend on whom. Dependencies point one way: from programs to rooms to leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

use serde_json::Value;

use crate::tree::{self, Finding};

/// Every crate of the workspace and the ones of the workspace it may name in its manifest.
const ALLOWED: [(&str, &[&str]); 24] = [
    ("convoy-common", &[]),
    ("convoy-proto", &[]),
    ("convoy-files", &[]),
    ("convoy-output", &[]),
    ("convoy-process", &[]),
    ("convoy-telemetry", &[]),
    ("convoy-wire", &["convoy-common", "convoy-proto"]),
    // Its tests make calls; itself it knows no message.
    ("convoy-access", &["convoy-common", "convoy-proto"]),
    (
        "convoy-client",
        &[
            "convoy-access",
            "convoy-common",
            "convoy-proto",
            "convoy-wire",
        ],
    ),
    ("convoy-state-machine", &["convoy-common"]),
    ("convoy-journal", &["convoy-files"]),
    (
        "convoy-consensus",
        &["convoy-common", "convoy-journal", "convoy-proto"],
    ),
    (
        "convoy-coordinator",
        &[
            "convoy-access",
            // Its tests play agents and workers; itself it calls nobody (`APART`).
            "convoy-client",
            "convoy-common",
            "convoy-consensus",
            "convoy-journal",
            "convoy-output",
            "convoy-process",
            "convoy-proto",
            "convoy-state-machine",
            "convoy-telemetry",
            "convoy-wire",
        ],
    ),
    ("convoy-membership", &["convoy-common"]),
    ("convoy-collective", &["convoy-access", "convoy-common"]),
    ("convoy-data", &["convoy-common", "convoy-files"]),
    ("convoy-checkpoint", &["convoy-common", "convoy-files"]),
    ("convoy-torch", &[]),
    (
        "convoy-training",
        &[
            "convoy-checkpoint",
            "convoy-common",
            "convoy-data",
            "convoy-torch",
        ],
    ),
    (
        "convoy-agent",
        &[
            "convoy-access",
            "convoy-client",
            "convoy-common",
            "convoy-files",
            "convoy-output",
            "convoy-process",
            "convoy-proto",
            "convoy-telemetry",
            "convoy-wire",
        ],
    ),
    (
        "convoy-worker",
        &[
            "convoy-access",
            "convoy-checkpoint",
            "convoy-client",
            "convoy-collective",
            "convoy-common",
            "convoy-data",
            "convoy-files",
            "convoy-membership",
            "convoy-output",
            "convoy-process",
            "convoy-proto",
            "convoy-telemetry",
            "convoy-torch",
            "convoy-training",
            "convoy-wire",
        ],
    ),
    (
        "convoy",
        &[
            "convoy-access",
            "convoy-checkpoint",
            "convoy-client",
            "convoy-common",
            "convoy-coordinator",
            "convoy-data",
            "convoy-files",
            "convoy-output",
            "convoy-process",
            "convoy-proto",
            "convoy-telemetry",
        ],
    ),
    ("xtask", &["convoy-output"]),
    (
        "cluster-tests",
        &[
            "convoy-checkpoint",
            "convoy-client",
            "convoy-common",
            "convoy-consensus",
            "convoy-data",
            "convoy-files",
            "convoy-journal",
            "convoy-process",
            "convoy-proto",
            "convoy-state-machine",
        ],
    ),
];

/// Crates without clock, randomness, I/O and runtime: time and ids come in as data.
pub(crate) const PURE: [&str; 3] = ["convoy-common", "convoy-membership", "convoy-state-machine"];
/// What a pure crate never reaches, however indirectly.
const NOT_IN_PURE: [&str; 9] = [
    "convoy-proto",
    "getrandom",
    "mio",
    "prost",
    "rustix",
    "tch",
    "tokio",
    "tonic",
    "torch-sys",
];

/// The crates that link libtorch; everything else builds without it.
const WITH_LIBTORCH: [&str; 3] = ["convoy-torch", "convoy-training", "convoy-worker"];

/// Pairs that know nothing of each other.
const APART: [(&str, &str); 5] = [
    ("convoy-training", "convoy-collective"),
    ("convoy-coordinator", "convoy-client"),
    ("convoy-coordinator", "convoy-worker"),
    ("convoy-coordinator", "convoy-membership"),
    ("convoy-agent", "convoy-torch"),
];

/// One crate in the graph.
#[derive(Default)]
struct Node {
    name: String,
    is_ours: bool,
    /// Built and tested by a plain `cargo test`.
    is_default: bool,
    /// Ids of what it is built from; tests of its own included only where it is ours.
    built_from: BTreeSet<String>,
    tested_with: BTreeSet<String>,
}

/// All crates, ours and others', by package id.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: BTreeMap<String, Node>,
}

impl Graph {
    /// As cargo resolves this workspace for the platform we build on.
    pub(crate) fn of_this_workspace() -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--locked", "--format-version", "1"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(tree::root())
            .output()
            .expect("cargo can be started");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self::from_metadata(
            &serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON"),
        )
    }

    fn from_metadata(metadata: &Value) -> Self {
        let mut graph = Self::default();
        for package in array(&metadata["packages"]) {
            let node = graph.nodes.entry(text(&package["id"])).or_default();
            node.name = text(&package["name"]);
        }
        for id in array(&metadata["workspace_members"]) {
            graph.nodes.entry(text(id)).or_default().is_ours = true;
        }
        for id in array(&metadata["workspace_default_members"]) {
            graph.nodes.entry(text(id)).or_default().is_default = true;
        }
        for resolved in array(&metadata["resolve"]["nodes"]) {
            let node = graph.nodes.entry(text(&resolved["id"])).or_default();
            for dependency in array(&resolved["deps"]) {
                let id = text(&dependency["pkg"]);
                let for_tests = |kind: &Value| kind["kind"] == "dev";
                if array(&dependency["dep_kinds"]).iter().all(for_tests) {
                    node.tested_with.insert(id);
                } else {
                    node.built_from.insert(id);
                }
            }
        }
        graph
    }

    fn ours(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.is_ours)
    }

    /// Names of everything `id` is built from, directly or not.
    fn reached_from(&self, id: &str) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            for next in node
                .built_from
                .iter()
                .filter(|next| seen.insert(next.as_str()))
            {
                names.insert(
                    self.nodes
                        .get(next)
                        .map_or(next.as_str(), |found| found.name.as_str()),
                );
                open.push(next);
            }
        }
        names
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Crates of ours that name one of ours they may not, tests included, or are not on the list at all.
pub(crate) fn directions(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, node) in graph.ours() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == node.name) else {
            let what =
                "is not on the list in tests/tidy/dependencies.rs: say there what it may know";
            findings.push(Finding::new(&node.name, 0, what));
            continue;
        };
        for id in node.built_from.union(&node.tested_with) {
            let Some(known) = graph.nodes.get(id).filter(|known| known.is_ours) else {
                continue;
            };
            if !allowed.contains(&known.name.as_str()) {
                let what = format!("may not know {} (tests/tidy/dependencies.rs)", known.name);
                findings.push(Finding::new(&node.name, 0, what));
            }
        }
    }
    findings
}

/// Pairs that should know nothing of each other and do.
pub(crate) fn apart(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (one, other) in APART
        .into_iter()
        .flat_map(|(one, other)| [(one, other), (other, one)])
    {
        for (id, _) in graph.ours().filter(|(_, node)| node.name == one) {
            if graph.reached_from(id).contains(other) {
                findings.push(Finding::new(
                    one,
                    0,
                    format!("reaches {other}, and the two stay apart"),
                ));
            }
        }
    }
    findings
}

/// Pure crates that reach a runtime, the network, randomness or libtorch.
pub(crate) fn purity(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, node) in graph
        .ours()
        .filter(|(_, node)| PURE.contains(&node.name.as_str()))
    {
        for name in graph
            .reached_from(id)
            .into_iter()
            .filter(|name| NOT_IN_PURE.contains(name))
        {
            findings.push(Finding::new(
                &node.name,
                0,
                format!("is pure, but reaches {name}"),
            ));
        }
    }
    findings
}

/// Crates that link libtorch and should not, or that a plain `cargo test` on a fresh clone would build.
pub(crate) fn libtorch(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, node) in graph
        .ours()
        .filter(|(id, _)| graph.reached_from(id).contains("torch-sys"))
    {
        if !WITH_LIBTORCH.contains(&node.name.as_str()) {
            let what = format!(
                "links libtorch, which only {} may",
                WITH_LIBTORCH.join(", ")
            );
            findings.push(Finding::new(&node.name, 0, what));
        }
        if node.is_default {
            let what = format!("{id} links libtorch, so it cannot be a default member");
            findings.push(Finding::new(&node.name, 0, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
