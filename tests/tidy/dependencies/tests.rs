//! Each rule on a made-up workspace that breaks it.

use super::*;

/// A workspace of ours where `lines` say "crate: dependency dependency"; `#` before a name means another's crate,
/// `?` a dependency of tests only.
fn graph(lines: &[&str]) -> Graph {
    let mut graph = Graph::default();
    for line in lines {
        let (name, dependencies) = line.split_once(':').unwrap();
        let node = graph.nodes.entry(id_of(name)).or_default();
        for dependency in dependencies.split_whitespace() {
            let set = if dependency.starts_with('?') {
                &mut node.tested_with
            } else {
                &mut node.built_from
            };
            set.insert(id_of(dependency));
        }
        let all = dependencies.split_whitespace().chain([name]);
        for word in all {
            let node = graph.nodes.entry(id_of(word)).or_default();
            node.name = id_of(word);
            node.is_ours = !word.starts_with('#');
        }
    }
    graph
}

fn id_of(word: &str) -> String {
    word.trim_start_matches(['#', '?']).to_owned()
}

fn check(findings: &[Finding], expected: &[&str]) {
    let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (finding, part) in found.iter().zip(expected) {
        assert!(finding.contains(part), "{finding}");
    }
}

#[test]
fn dependency_against_the_direction_is_found_also_in_tests() {
    check(
        &directions(&graph(&["convoy-agent: convoy-client #serde"])),
        &["convoy-client: may not know"; 0],
    );
    check(
        &directions(&graph(&["convoy-proto: convoy-common"])),
        &["convoy-proto: may not know convoy-common"],
    );
    check(
        &directions(&graph(&["convoy-data: ?convoy-proto"])),
        &["convoy-data: may not know convoy-proto"],
    );
}

#[test]
fn new_crate_must_be_put_on_the_list() {
    check(
        &directions(&graph(&["convoy-dashboard: #axum"])),
        &["convoy-dashboard: is not on the list"],
    );
}

#[test]
fn crates_that_stay_apart_are_found_through_others() {
    let meeting = graph(&[
        "convoy-training: convoy-data",
        "convoy-data: convoy-collective",
    ]);
    check(
        &apart(&meeting),
        &["convoy-training: reaches convoy-collective"],
    );
    check(
        &apart(&graph(&[
            "convoy-worker: convoy-training convoy-collective",
        ])),
        &[],
    );
}

#[test]
fn pure_crate_that_reaches_a_runtime_through_others_is_found() {
    let impure = graph(&[
        "convoy-membership: #backoff",
        "#backoff: #tokio",
        "convoy-client: #tokio",
    ]);
    check(
        &purity(&impure),
        &["convoy-membership: is pure, but reaches tokio"],
    );
    check(
        &purity(&graph(&[
            "convoy-membership: ?#proptest",
            "#proptest: #getrandom",
        ])),
        &[],
    );
}

#[test]
fn libtorch_beyond_the_worker_side_and_in_a_plain_build_is_found() {
    check(
        &libtorch(&graph(&[
            "convoy-worker: convoy-torch",
            "convoy-torch: #tch",
            "#tch: #torch-sys",
        ])),
        &[],
    );
    let mut leaking = graph(&[
        "convoy: convoy-torch",
        "convoy-torch: #tch",
        "#tch: #torch-sys",
    ]);
    leaking.nodes.get_mut("convoy").unwrap().is_default = true;
    check(
        &libtorch(&leaking),
        &["convoy: links libtorch", "cannot be a default member"],
    );
}

#[test]
fn metadata_of_cargo_is_read_with_kinds_and_members() {
    let metadata = serde_json::json!({
        "packages": [{"id": "a#1", "name": "a"}, {"id": "b#1", "name": "b"}, {"id": "c#1", "name": "c"}],
        "workspace_members": ["a#1"],
        "workspace_default_members": ["a#1"],
        "resolve": {"nodes": [{"id": "a#1", "deps": [
            {"pkg": "b#1", "dep_kinds": [{"kind": null}, {"kind": "dev"}]},
            {"pkg": "c#1", "dep_kinds": [{"kind": "dev"}]},
        ]}]},
    });
    let graph = Graph::from_metadata(&metadata);
    let node = &graph.nodes["a#1"];
    assert!(node.is_ours && node.is_default);
    assert!(node.built_from.contains("b#1") && node.tested_with.contains("c#1"));
    assert_eq!(graph.reached_from("a#1"), BTreeSet::from(["b"]));
}
