//! Coordinators as processes of their own, with real sockets and real folders, to be killed and started again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::{binary, eventually, signal};

/// The first port; each cluster of a process of tests takes the next one. What runs elsewhere has other addresses.
const FIRST_PORT: u16 = 7_710;

/// How many there are at first.
const COUNT: u64 = 3;

/// Three coordinators; dropped, they are killed, and their folders removed.
pub struct Coordinators {
    folder: TempDir,
    port: u16,
    running: BTreeMap<u64, Child>,
    /// At first.
    count: u64,
}

impl Coordinators {
    /// A new cluster, whose coordinators are all started.
    #[must_use]
    pub fn start() -> Self {
        let mut cluster = Self::prepare(COUNT);
        for id in cluster.ids() {
            cluster.launch(id, &["--create-cluster"]);
        }
        cluster
    }

    /// The files of a cluster of one, which is not started: its id is 1.
    #[must_use]
    pub fn alone() -> Self {
        Self::prepare(1)
    }

    fn prepare(count: u64) -> Self {
        static CLUSTERS: AtomicU16 = AtomicU16::new(0);
        let cluster = Self {
            folder: tempfile::tempdir().unwrap(),
            port: FIRST_PORT + CLUSTERS.fetch_add(1, Ordering::Relaxed),
            running: BTreeMap::new(),
            count,
        };
        for id in cluster.ids() {
            fs::write(cluster.config(id), cluster.config_text(id)).unwrap();
        }
        cluster
    }

    /// Starts one that joins; it is no part of the cluster yet.
    pub fn join(&mut self, id: u64) {
        let text = format!("join = true\n{}", self.config_text(id));
        fs::write(self.config(id), text).unwrap();
        self.launch(id, &[]);
    }

    /// Ids of the first ones.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        (1..=self.count).collect()
    }

    /// Holds everything of the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder of one.
    #[must_use]
    pub fn data(&self, id: u64) -> PathBuf {
        self.folder().join(format!("data-{id}"))
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self, id: u64) -> PathBuf {
        self.folder().join(format!("coordinator-{id}.toml"))
    }

    /// What it wrote to standard error in all its lives.
    #[must_use]
    pub fn log(&self, id: u64) -> String {
        fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    fn log_path(&self, id: u64) -> PathBuf {
        self.folder().join(format!("coordinator-{id}.log"))
    }

    /// `http://HOST:PORT`
    #[must_use]
    pub fn endpoint(&self, id: u64) -> String {
        format!("http://{}", self.address(id))
    }

    /// As clients are told of all: `http://HOST:PORT,http://HOST:PORT,...`
    #[must_use]
    pub fn endpoints(&self) -> String {
        let endpoints: Vec<_> = self.ids().iter().map(|id| self.endpoint(*id)).collect();
        endpoints.join(",")
    }

    fn address(&self, id: u64) -> SocketAddr {
        // A configured port is fixed, so that no other process may have the address: it is made of this process's number.
        let [low, high, ..] = std::process::id().to_le_bytes();
        let host = Ipv4Addr::new(127, 1 + low % 250, high, u8::try_from(id).unwrap());
        (host, self.port).into()
    }

    fn config_text(&self, id: u64) -> String {
        let mut text = format!(
            "id = {id}\ncluster = \"test\"\nlisten = \"{}\"\ndata_dir = \"data-{id}\"\n",
            self.address(id)
        );
        let mut peers = self.ids();
        if !peers.contains(&id) {
            peers.push(id);
        }
        // One that is alone has none.
        for peer in peers.into_iter().filter(|_| self.count > 1) {
            let endpoint = self.endpoint(peer);
            text += &format!("[[peers]]\nid = {peer}\naddress = \"{endpoint}\"\n");
        }
        text
    }

    /// The command that runs one, as it is after its first start.
    #[must_use]
    pub fn command(&self, id: u64) -> Command {
        let mut command = Command::new(binary("convoy-coordinator"));
        command.arg("--config").arg(self.config(id));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts one again.
    pub fn restart(&mut self, id: u64) {
        self.launch(id, &[]);
    }

    fn launch(&mut self, id: u64, more: &[&str]) {
        let mut command = self.command(id);
        command.args(more).stderr(append(&self.log_path(id)));
        let before = self.running.insert(id, command.spawn().unwrap());
        assert!(before.is_none(), "coordinator {id} runs already");
    }

    fn child(&mut self, id: u64) -> &mut Child {
        self.running.get_mut(&id).unwrap()
    }

    /// Starts one that should end by itself: how it ends, and what it says.
    pub fn ends(&mut self, id: u64, more: &[&str]) -> (ExitStatus, String) {
        let before = self.log(id).len();
        self.launch(id, more);
        let status = self.wait(id);
        (status, self.log(id).split_off(before))
    }

    /// Kills these with SIGKILL, all before any is waited for.
    ///
    /// # Panics
    /// If one of them had ended by itself.
    pub fn kill(&mut self, ids: &[u64]) {
        for id in ids {
            self.assert_runs(*id);
            self.child(*id).kill().unwrap();
        }
        for id in ids {
            self.running.remove(id).unwrap().wait().unwrap();
        }
    }

    /// Makes one stand still, with all its connections open.
    pub fn pause(&mut self, id: u64) {
        self.assert_runs(id);
        signal(self.pid(id), "STOP");
    }

    /// Lets it go on.
    pub fn resume(&mut self, id: u64) {
        signal(self.pid(id), "CONT");
    }

    /// Ends one with SIGTERM, as whoever restarts it does, and waits for its end.
    pub fn terminate(&mut self, id: u64) -> ExitStatus {
        self.assert_runs(id);
        signal(self.pid(id), "TERM");
        self.wait(id)
    }

    /// Waits for the end of one that ends by itself.
    pub fn wait(&mut self, id: u64) -> ExitStatus {
        let mut status = None;
        eventually("the coordinator ends", || {
            status = self.child(id).try_wait().unwrap();
            status.is_some()
        });
        self.running.remove(&id);
        status.unwrap()
    }

    /// Process id of one that runs.
    pub fn pid(&mut self, id: u64) -> u32 {
        self.child(id).id()
    }

    /// Those that were started and not ended, whether or not they ended by themselves.
    #[must_use]
    pub fn running(&self) -> Vec<u64> {
        self.running.keys().copied().collect()
    }

    /// # Panics
    /// If it has ended by itself; with the end of its log.
    pub fn assert_runs(&mut self, id: u64) {
        let ended = self.child(id).try_wait().unwrap();
        if let Some(status) = ended {
            panic!(
                "coordinator {id} ended by itself, {status}:\n{}",
                self.log(id)
            );
        }
    }
}

impl Drop for Coordinators {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}
