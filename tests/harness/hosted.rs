//! A cluster on four hosts, started from the example configurations as the README says: coordinators on the first three,
//! agents on the last two.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::network::{Host, Network};
use crate::{IMAGES, binary, dataset, eventually, spec};

/// Hosts with a coordinator.
pub const COORDINATORS: [u8; 3] = [1, 2, 3];

/// Hosts with an agent.
pub const AGENTS: [u8; 2] = [3, 4];

/// Where a host has its configurations, from its own folder, as a clone of this tree has them.
const CONFIGURATIONS: &str = "deploy/examples";

/// Where the example agent works, from its host's own folder: relative paths of a spec start there.
const WORK: &str = ".convoy/agent";

/// Makes a key as the README says.
const MAKE_KEY: &str = "umask 077; head -c 32 /dev/urandom > cluster.key";

/// The cluster, and all that belongs to it. Dropped, everything is gone.
pub struct HostedCluster {
    // In this order: processes end before their hosts, and those before their folders.
    daemons: BTreeMap<String, Daemon>,
    network: Network,
    folder: TempDir,
}

impl HostedCluster {
    /// Starts it and waits for both agents. None, with a line that says why, where this machine permits no hosts of their own.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary files can be written");
        let network = Network::new(4, folder.path())?;
        let mut cluster = Self {
            daemons: BTreeMap::new(),
            network,
            folder,
        };
        cluster.distribute_key();
        for number in COORDINATORS {
            cluster.start_coordinator(number);
        }
        for number in AGENTS {
            dataset(&cluster.data(number), IMAGES);
            cluster.start_agent(number);
        }
        cluster.eventually("both agents are there", |cluster| {
            let alive = AGENTS.map(|number| cluster.node(1, number)["state"] == "alive");
            alive == [true, true]
        });
        Some(cluster)
    }

    /// The hosts.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where the agent on this host finds `data/...` of a spec, as the test sees it.
    #[must_use]
    pub fn data(&self, number: u8) -> PathBuf {
        self.network.host(number).outside().join(WORK).join("data")
    }

    /// The name of the node that is this host.
    #[must_use]
    pub fn node_name(number: u8) -> String {
        format!("gpu-0{number}")
    }

    fn distribute_key(&self) {
        for number in 1..=4 {
            let folder = configurations(self.network.host(number));
            fs::create_dir_all(&folder).expect("the test's own folder can be written");
        }
        let first = self.network.host(1);
        let made = first
            .command(Path::new("sh"))
            .args(["-c", &format!("cd {CONFIGURATIONS}; {MAKE_KEY}")])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "no key was made");
        for number in 2..=4 {
            let to = configurations(self.network.host(number)).join("cluster.key");
            fs::copy(self.key_file(), to).expect("the test's own folder can be written");
        }
    }

    fn key_file(&self) -> PathBuf {
        configurations(self.network.host(1)).join("cluster.key")
    }

    /// The secret that all processes share.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        fs::read(self.key_file()).expect("it was made at the start")
    }

    fn start_coordinator(&mut self, number: u8) {
        let host = self.network.host(number);
        let own_id = format!("id = {number}\n");
        let own_listen = format!("listen = \"{}:7700\"", host.address());
        let changes = [
            ("id = 1\n", own_id.as_str()),
            ("listen = \"10.0.0.1:7700\"", &own_listen),
        ];
        configure(host, "coordinator.toml", &changes);
        let mut command = host.command(&binary("convoy-coordinator"));
        command.args([
            "--config",
            "deploy/examples/coordinator.toml",
            "--create-cluster",
        ]);
        self.run(&format!("coordinator-{number}"), command);
    }

    fn start_agent(&mut self, number: u8) {
        let host = self.network.host(number);
        let own_name = format!("node_id = \"{}\"", Self::node_name(number));
        // One slot each, so that a job of two workers needs both hosts.
        let changes = [
            ("node_id = \"gpu-01\"", own_name.as_str()),
            ("slots = 2", "slots = 1"),
        ];
        configure(host, "agent.toml", &changes);
        let mut command = host.command(&binary("convoy-agent"));
        command.args(["--config", "deploy/examples/agent.toml"]);
        self.run(&format!("agent-{number}"), command);
    }

    fn run(&mut self, name: &str, command: std::process::Command) {
        let logs = self.folder.path().join("logs");
        fs::create_dir_all(&logs).expect("the test's own folder can be written");
        let daemon = Daemon::start(command, &logs.join(format!("{name}.log")));
        self.daemons.insert(name.to_owned(), daemon);
    }

    /// Runs `convoy` on a host, with the addresses of all coordinators and the key.
    #[must_use]
    pub fn convoy(&self, on: u8, arguments: &[&str]) -> Output {
        let host = self.network.host(on);
        let addresses = COORDINATORS.map(|number| {
            let address = self.network.host(number).address();
            format!("http://{address}:7700")
        });
        let mut command = host.command(&binary("convoy"));
        command
            .args(arguments)
            .env("CONVOY_COORDINATORS", addresses.join(","))
            .env(
                "CONVOY_CLUSTER_KEY",
                host.inside().join(CONFIGURATIONS).join("cluster.key"),
            );
        let ran = command.output();
        ran.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// What a command prints as JSON; null if it fails, as while there is no leader.
    #[must_use]
    pub fn shown(&self, on: u8, arguments: &[&str]) -> Value {
        let output = self.convoy(on, &[arguments, &["-o", "json"]].concat());
        if !output.status.success() {
            return Value::Null;
        }
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// `convoy nodes` on a host, about another.
    #[must_use]
    pub fn node(&self, on: u8, number: u8) -> Value {
        let list = self.shown(on, &["nodes"]);
        let name = Self::node_name(number);
        let nodes = list["nodes"].as_array();
        let found = nodes.and_then(|nodes| nodes.iter().find(|node| node["node"] == name.as_str()));
        found.cloned().unwrap_or_default()
    }

    /// `convoy describe` on a host.
    #[must_use]
    pub fn job(&self, on: u8, id: &str) -> Value {
        self.shown(on, &["describe", id])
    }

    /// Steps that a job has done.
    #[must_use]
    pub fn step(&self, on: u8, id: &str) -> Option<u64> {
        self.job(on, id)["progress"]["step"].as_u64()
    }

    /// Writes a spec on a host: the small dataset, which each agent has in its work folder, and checkpoints in the folder that
    /// all hosts share. Returns its path there.
    ///
    /// # Panics
    /// If it can't be written.
    #[must_use]
    pub fn spec(&self, on: u8, epochs: u32) -> String {
        let shared = self.folder.path().join("shared/checkpoints");
        let own = format!("folder = {shared:?}");
        let text = spec(epochs).replace("folder = \"checkpoints\"", &own);
        let path = self.network.host(on).outside().join("tiny.toml");
        fs::write(path, text).expect("the test's own folder can be written");
        "tiny.toml".to_owned()
    }

    /// Submits such a job to two workers, and returns its id.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    pub fn submit(&self, on: u8, epochs: u32) -> String {
        let spec = self.spec(on, epochs);
        let output = self.convoy(on, &["submit", &spec, "--workers", "2"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until `condition` holds of the cluster.
    pub fn eventually(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        eventually(what, || condition(self));
    }

    /// Everything that anything on these hosts printed or logged, each with its file.
    #[must_use]
    pub fn logs(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.folder.path().join("logs")];
        for number in AGENTS {
            let own = self.network.host(number).outside();
            folders.extend([own.join(".convoy/logs"), own.join(WORK)]);
        }
        let files = folders.iter().flat_map(|folder| {
            crate::files_below(folder)
                .into_iter()
                .map(|file| folder.join(file))
        });
        let logs =
            files.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
        logs.map(|file| (file.clone(), fs::read(&file).unwrap_or_default()))
            .collect()
    }
}

impl Drop for HostedCluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (name, daemon) in &self.daemons {
            // Of a test that fails anyway.
            let _ = writeln!(std::io::stderr(), "--- {name}\n{}", daemon.last_lines());
        }
    }
}

/// Where a host has its configurations, as the test sees it.
fn configurations(host: &Host) -> PathBuf {
    host.outside().join(CONFIGURATIONS)
}

/// Puts an example configuration on a host, changed in these places.
fn configure(host: &Host, name: &str, changes: &[(&str, &str)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let example = root
        .map(|root| root.join(CONFIGURATIONS).join(name))
        .unwrap_or_default();
    let read = fs::read_to_string(&example);
    let mut text = read.unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    for (from, to) in changes {
        assert!(
            text.contains(from),
            "{from:?} is not in {}",
            example.display()
        );
        text = text.replacen(from, to, 1);
    }
    fs::write(configurations(host).join(name), text).expect("the test's own folder can be written");
}
