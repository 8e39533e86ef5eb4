use super::*;
use crate::document::{Shape, json_schema};
use crate::listen::Guard;

const AGENT: &str = r#"node_id = "gpu-01"
coordinators = ["http://10.0.0.1:7700", "http://b.example:7700"]
slots = 2
interface = "eth1"
data_port_range = [7800, 7803]
work_dir = "work"
cluster_key = "cluster.key"

[labels]
rack = "r1"
"#;

const COORDINATOR: &str = r#"id = 2
listen = "10.0.0.2:7700"
data_dir = "data"
cluster_key = "cluster.key"
peers = [
    { id = 1, address = "http://10.0.0.1:7700" },
    { id = 2, address = "http://10.0.0.2:7700" },
    { id = 3, address = "http://10.0.0.3:7700" },
]
"#;

/// First lines of all problems.
fn problems<T>(parsed: Result<T, ConfigErrors>) -> Vec<String> {
    let Err(errors) = parsed else {
        return Vec::new();
    };
    let line = |problem: &Problem| {
        let place = problem.place.as_ref().unwrap();
        format!(
            "{}:{} {}: {}",
            place.line, place.column, problem.path, problem.reason
        )
    };
    errors.problems().iter().map(line).collect()
}

fn replaced(source: &str, line: &str, by: &str) -> String {
    assert_eq!(source.matches(line).count(), 1, "{line}");
    source.replace(line, by)
}

#[track_caller]
fn check_agent(line: &str, by: &str, expected: &[&str]) {
    let source = replaced(AGENT, line, by);
    assert_eq!(
        problems(AgentConfig::parse(&source, "agent.toml")),
        expected
    );
}

#[track_caller]
fn check_coordinator(line: &str, by: &str, expected: &[&str]) {
    let source = replaced(COORDINATOR, line, by);
    assert_eq!(
        problems(CoordinatorConfig::parse(&source, "coordinator.toml")),
        expected
    );
}

#[test]
fn agent_configuration_is_read_with_its_defaults() {
    let config = AgentConfig::parse(AGENT, "agent.toml").unwrap();
    assert_eq!(config.node_id.as_str(), "gpu-01");
    assert_eq!(config.coordinators[1].host(), "b.example");
    assert_eq!(config.data_ports(), Some(7800..=7803));
    assert_eq!(config.labels["rack"], "r1");
    assert_eq!(config.stop_grace_ms, 5_000);
    assert_eq!(config.coordinator_timeout_ms, 600_000);
    assert_eq!(config.guard(), Guard::ClusterKey);
    assert_eq!(config.worker_memory_limit_mib, None);
    assert_eq!(config.check(), Ok(()));
}

#[test]
fn coordinator_configuration_is_read_with_its_defaults() {
    let config = CoordinatorConfig::parse(COORDINATOR, "coordinator.toml").unwrap();
    assert_eq!((config.id, config.cluster.as_str()), (2, "convoy"));
    assert_eq!(config.timings, TimingsConfig::default());
    assert_eq!(
        config.advertised(config.listen).to_string(),
        "http://10.0.0.2:7700"
    );
    assert!(!config.join && !config.allow_chaos);
    assert_eq!(config.check(), Ok(()));
}

#[test]
fn examples_are_right() {
    let source = include_str!("../../../deploy/examples/agent.toml");
    let agent = AgentConfig::parse(source, "agent.toml").unwrap();
    assert_eq!(agent.worker_memory_limit_mib, Some(16_384));
    let source = include_str!("../../../deploy/examples/coordinator.toml");
    let coordinator = CoordinatorConfig::parse(source, "coordinator.toml").unwrap();
    assert_eq!(
        coordinator.timings,
        TimingsConfig::default(),
        "the example says that these are the defaults"
    );
}

#[test]
fn paths_start_from_the_folder_of_the_file() {
    let mut config = AgentConfig::parse(AGENT, "agent.toml").unwrap();
    config.resolve_paths("/etc/convoy".as_ref());
    assert_eq!(config.work_dir.to_str(), Some("/etc/convoy/work"));
    let key = config.cluster_key.unwrap();
    assert_eq!(key.to_str(), Some("/etc/convoy/cluster.key"));
    let mut config = CoordinatorConfig::parse(COORDINATOR, "coordinator.toml").unwrap();
    config.resolve_paths("/etc/convoy".as_ref());
    assert_eq!(config.data_dir.to_str(), Some("/etc/convoy/data"));
}

#[test]
fn misspelt_key_is_shown_as_in_a_job_spec() {
    let errors = AgentConfig::parse(&replaced(AGENT, "slots", "slot"), "agent.toml").unwrap_err();
    let text = errors.to_string();
    assert!(
        text.starts_with(
            "agent.toml:3:1: slot: unknown key; did you mean `slots`?\n3 | slot = 2\n  | ^^^^\n"
        ),
        "{text}"
    );
}

#[test]
fn malformed_texts_are_told_with_their_place() {
    check_agent(
        "\"http://b.example:7700\"",
        "\"b.example:7700\"",
        &[
            "2:41 coordinators[1]: must be an address such as \"http://10.0.0.5:7700\", is \"b.example:7700\": \
             it does not start with http://",
        ],
    );
    check_agent(
        "\"gpu-01\"",
        "\"gpu 01\"",
        &[
            "1:11 node_id: must be a name such as \"gpu-01\", is \"gpu 01\": node id \"gpu 01\" must be 1 to 128 letters, \
             digits, '-', '_' or '.', starting with a letter or digit",
        ],
    );
    check_agent(
        "interface = \"eth1\"",
        "listen = \"10.0.0.300\"",
        &[
            "4:10 listen: must be an IP address such as \"10.0.0.5\" or \"fd00::5\", is \"10.0.0.300\": \
             invalid IP address syntax",
        ],
    );
    check_coordinator(
        "\"10.0.0.2:7700\"",
        "\"10.0.0.2\"",
        &[
            "2:10 listen: must be an IP address with a port, such as \"10.0.0.5:7700\", is \"10.0.0.2\": \
             invalid socket address syntax",
        ],
    );
}

#[test]
fn types_and_ranges_are_told_with_their_place() {
    check_agent(
        "slots = 2",
        "slots = 0",
        &["3:9 slots: must be from 1 to 256, is 0"],
    );
    check_agent(
        "[7800, 7803]",
        "[7800]",
        &["5:19 data_port_range: must have 2 values, has 1"],
    );
    check_agent(
        "[7800, 7803]",
        "[7800, 70000]",
        &["5:26 data_port_range[1]: must be from 0 to 65535, is 70000"],
    );
    check_agent(
        "coordinators = [\"http://10.0.0.1:7700\", \"http://b.example:7700\"]",
        "coordinators = []",
        &["2:16 coordinators: must have 1 to 16 values, has 0"],
    );
    check_agent(
        "rack = \"r1\"",
        "rack = 1",
        &["10:8 labels.rack: must be a string, is a whole number"],
    );
    check_coordinator("id = 2\nlisten", "listen", &["1:1 id: this key is missing"]);
    check_coordinator(
        "data_dir = \"data\"",
        "data_dir = \"data\"\ntimings = { silence_ms = 10, elction_ticks = 9 }",
        &[
            "4:26 timings.silence_ms: must be from 1000 to 3600000, is 10",
            "4:30 timings.elction_ticks: unknown key; did you mean `election_ticks`?",
        ],
    );
}

#[test]
fn without_a_key_only_loopback_is_listened_on() {
    let text = "can be reached from other machines, and nothing keeps strangers out";
    check_coordinator(
        "cluster_key = \"cluster.key\"\n",
        "",
        &[&format!("2:10 listen: 10.0.0.2 {text}")],
    );
    let open = replaced(AGENT, "cluster_key = \"cluster.key\"\n", "");
    let open = replaced(&open, "interface = \"eth1\"", "listen = \"10.0.0.9\"");
    assert_eq!(
        problems(AgentConfig::parse(&open, "agent.toml")),
        [format!("4:10 listen: 10.0.0.9 {text}")]
    );
    let insecure = format!("insecure = true\n{open}");
    assert_eq!(
        AgentConfig::parse(&insecure, "agent.toml").unwrap().guard(),
        Guard::Insecure
    );
    let loopback = replaced(&open, "10.0.0.9", "127.0.0.1");
    assert!(AgentConfig::parse(&loopback, "agent.toml").is_ok());
}

#[test]
fn keys_that_contradict_each_other_are_told() {
    check_agent(
        "slots = 2",
        "slots = 2\ninsecure = true",
        &["4:12 insecure: does not go with cluster_key, which keeps strangers out"],
    );
    check_agent(
        "slots = 2",
        "slots = 2\nlisten = \"10.0.0.9\"",
        &["4:10 listen: 10.0.0.9 does not go with interface = \"eth1\", whose address is taken"],
    );
    check_agent(
        "interface = \"eth1\"",
        "listen = \"0.0.0.0\"",
        &[
            "4:10 listen: with every address of this machine listened on, advertised_address must say which one others use",
        ],
    );
    check_agent(
        "slots = 2",
        "slots = 5",
        &["5:19 data_port_range: 4 ports cannot serve 5 slots, whose workers need one each"],
    );
    check_agent(
        "[7800, 7803]",
        "[7803, 7800]",
        &["5:19 data_port_range: the first port, 7803, is above the last, 7800"],
    );
    check_agent(
        "\"http://b.example:7700\"",
        "\"http://10.0.0.1:7700\"",
        &["2:41 coordinators[1]: http://10.0.0.1:7700 is there already"],
    );
    check_agent(
        "interface = \"eth1\"",
        "interface = \"eth 1\"",
        &["4:13 interface: \"eth 1\" is no name of a network interface"],
    );
    check_agent(
        "rack = \"r1\"",
        "\"rack 1\" = \"r1\"",
        &[
            "10:1 labels.\"rack 1\": a label's name has 1 to 128 letters, digits, '.', '_', '-' or '/'",
        ],
    );
}

#[test]
fn peers_must_fit_together() {
    check_coordinator(
        "id = 2\n",
        "id = 7\n",
        &["5:9 peers: peers has no entry of this coordinator, whose id is 7"],
    );
    check_coordinator(
        "{ id = 3, address = \"http://10.0.0.3:7700\" }",
        "{ id = 1, address = \"http://10.0.0.2:7700\" }",
        &[
            "8:12 peers[2].id: another peer has the id 1 already",
            "8:25 peers[2].address: another peer has the address http://10.0.0.2:7700 already",
        ],
    );
    check_coordinator(
        "    { id = 3, address = \"http://10.0.0.3:7700\" },\n",
        "",
        &["5:9 peers: 2 coordinators bear no more losses than 1: take 1, 3 or 5"],
    );
    let joining = replaced(
        COORDINATOR,
        "    { id = 3, address = \"http://10.0.0.3:7700\" },\n",
        "",
    );
    let joining = format!("join = true\n{joining}");
    assert!(CoordinatorConfig::parse(&joining, "coordinator.toml").is_ok());
}

#[test]
fn coordinator_must_be_reachable_and_elections_must_leave_time() {
    check_coordinator(
        "10.0.0.2:7700\"\ndata",
        "10.0.0.2:0\"\ndata",
        &["2:10 listen: others must know the port: it can't be 0"],
    );
    check_coordinator(
        "data_dir = \"data\"",
        "data_dir = \"data\"\ntimings = { election_ticks = 5, heartbeat_ticks = 2 }",
        &[
            "4:30 timings.election_ticks: 5 ticks are less than 3 signs of life of 2 ticks each: a healthy leader would be deposed",
        ],
    );
    check_coordinator(
        "data_dir = \"data\"",
        "data_dir = \"data\"\ntimings = { silence_ms = 2499 }",
        &[
            "4:26 timings.silence_ms: a new leader waits twice as long, 4998 ms, for agents and workers, which need up to 5000 ms \
             to notice that the old one's host vanished and to find it: they would be given up although they live",
        ],
    );
    let alone = "id = 1\nlisten = \"0.0.0.0:7700\"\ndata_dir = \"data\"\ninsecure = true\n";
    assert_eq!(
        problems(CoordinatorConfig::parse(alone, "coordinator.toml")),
        [
            "2:10 listen: with every address of this machine listened on, advertised_address must say which one others use"
        ]
    );
    let told = format!("advertised_address = \"http://a:7700\"\n{alone}");
    let config = CoordinatorConfig::parse(&told, "coordinator.toml").unwrap();
    assert_eq!(
        config.advertised(config.listen).to_string(),
        "http://a:7700"
    );
}

#[test]
fn clusters_of_different_names_have_different_numbers() {
    let mut config = CoordinatorConfig::parse(COORDINATOR, "coordinator.toml").unwrap();
    // FNV-1a, so that the number on disk stays the same for all time.
    assert_eq!(config.cluster_id(), 0x043a_0676_1685_71f3);
    config.cluster = "convoy2".to_owned();
    assert_ne!(config.cluster_id(), 0x043a_0676_1685_71f3);
}

#[test]
fn flags_are_checked_like_files() {
    let mut config = AgentConfig::parse(AGENT, "agent.toml").unwrap();
    config.slots = 0;
    config.insecure = true;
    let text = config.check().unwrap_err().to_string();
    assert!(text.contains("command line: slots: "), "{text}");
    assert!(
        text.contains("command line: insecure: does not go with cluster_key"),
        "{text}"
    );
}

#[test]
fn the_shape_check_understands_both_schemas() {
    fn assert_known(shape: &Shape) {
        match shape {
            Shape::Other => panic!("a part of the schema that the shape check does not know"),
            Shape::Table(fields) => fields.values().for_each(|field| assert_known(&field.shape)),
            Shape::List(each, ..) | Shape::Map(each) => assert_known(each),
            Shape::Flag | Shape::Text | Shape::Formatted(_) | Shape::Name(_) => {}
            Shape::Whole(..) | Shape::Number(..) => {}
        }
    }
    assert_known(&Shape::of(&json_schema::<AgentConfig>()));
    assert_known(&Shape::of(&json_schema::<CoordinatorConfig>()));
}
