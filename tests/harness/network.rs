//! Hosts of their own on this machine: network namespaces on one switch. Each host sees a folder of its own under the same
//! path as all others see theirs, and one that all share, as from a file server.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Options of `unshare` for network and mounts: as root, or as whoever may call itself root in a namespace of users.
const WAYS: [&[&str]; 2] = [
    &["--net", "--mount"],
    &["--user", "--map-root-user", "--net", "--mount"],
];

/// Everything that a network needs; a machine that permits it permits the rest.
const TRIAL: &str = "ip link add name trial type bridge && ip link add name one type veth peer name other && \
                     mount -t tmpfs none /mnt && nsenter --version && setpriv --version";

/// Runs a program in a folder, and not longer than the test runs.
const IN_FOLDER: &str = "cd \"$0\" && exec setpriv --pdeathsig KILL \"$@\"";

/// Keeps a namespace until nobody holds the other end of its standard input any more, which nobody does when the test has
/// ended, however it ended.
const HOLD: &str = "echo held && exec cat";

/// What all hosts have their interface in.
const NET: &str = "10.0.0";

/// Hosts that are joined by a switch. Dropped, or with the end of this process, all of it is gone.
pub struct Network {
    switch: Namespace,
    hosts: Vec<Host>,
}

/// One of them.
pub struct Host {
    number: u8,
    namespace: Namespace,
    /// Its own folder as the test sees it.
    outside: PathBuf,
    /// The same as the host itself sees it.
    inside: PathBuf,
}

impl Network {
    /// So many hosts, numbered from 1, whose folders are below `folder`. None, with a line that says why, where the machine
    /// does not permit it.
    ///
    /// # Panics
    /// If the machine permits it and yet a step fails.
    #[must_use]
    pub fn new(hosts: u8, folder: &Path) -> Option<Self> {
        let way = permitted_way()?;
        let switch = Namespace::hold(way);
        switch.root(&["ip", "link", "add", "name", "switch", "type", "bridge"]);
        switch.root(&["ip", "link", "set", "dev", "switch", "up"]);
        let mut network = Self {
            switch,
            hosts: Vec::new(),
        };
        for number in 1..=hosts {
            let host = Host::new(number, network.switch.another(), folder);
            network.join(&host);
            network.hosts.push(host);
        }
        Some(network)
    }

    /// The host of this number.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn host(&self, number: u8) -> &Host {
        let found = self.hosts.iter().find(|host| host.number == number);
        found.unwrap_or_else(|| panic!("there is no host {number}"))
    }

    /// Pulls the host's cable: nothing comes through, either way, and nobody is told.
    pub fn cut(&self, number: u8) {
        self.switch
            .root(&["ip", "link", "set", "dev", &port(number), "down"]);
    }

    /// Puts it in again.
    pub fn heal(&self, number: u8) {
        self.switch
            .root(&["ip", "link", "set", "dev", &port(number), "up"]);
    }

    fn join(&self, host: &Host) {
        let (port, holder) = (port(host.number), host.namespace.holder.id().to_string());
        self.switch.root(&[
            "ip", "link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns",
            &holder,
        ]);
        self.switch
            .root(&["ip", "link", "set", "dev", &port, "master", "switch", "up"]);
        let address = format!("{}/24", host.address());
        host.namespace
            .root(&["ip", "address", "add", &address, "dev", "eth0"]);
        host.namespace
            .root(&["ip", "link", "set", "dev", "eth0", "up"]);
        host.namespace
            .root(&["ip", "link", "set", "dev", "lo", "up"]);
    }
}

/// The switch's end of a host's cable.
fn port(number: u8) -> String {
    format!("port{number}")
}

impl Host {
    fn new(number: u8, namespace: Namespace, folder: &Path) -> Self {
        let inside = folder.join("host");
        let outside = folder.join("hosts").join(number.to_string());
        let shared = folder.join("shared");
        for made in [&inside, &outside, &shared] {
            fs::create_dir_all(made).unwrap_or_else(|error| panic!("{}: {error}", made.display()));
        }
        let (own, seen) = (text(&outside), text(&inside));
        namespace.root(&["mount", "--bind", own, seen]);
        // Nobody finds the folder of another host.
        namespace.root(&["mount", "-t", "tmpfs", "none", text(&folder.join("hosts"))]);
        Self {
            number,
            namespace,
            outside,
            inside,
        }
    }

    /// Its address at the interface `eth0`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{NET}.{}", self.number)
    }

    /// Its own folder as the test sees it.
    #[must_use]
    pub fn outside(&self) -> &Path {
        &self.outside
    }

    /// The same as the host itself sees it: every host has its own under this path.
    #[must_use]
    pub fn inside(&self) -> &Path {
        &self.inside
    }

    /// `program` on this host, in its own folder. It ends with the thread that starts it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.namespace.enter();
        command
            .args(["sh", "-c", IN_FOLDER])
            .arg(&self.inside)
            .arg(program);
        command
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Options of `unshare` that this machine permits.
fn permitted_way() -> Option<&'static [&'static str]> {
    let way = WAYS.into_iter().find(|way| {
        let mut trial = Command::new("unshare");
        trial.args(*way).args(["sh", "-c", TRIAL]);
        trial.output().is_ok_and(|tried| tried.status.success())
    });
    if way.is_none() {
        // Not by a macro, whose output tests hide.
        let line = b"skipped: hosts of their own need `ip`, `nsenter` and `setpriv`, and `unshare --net --mount` with links and mounts, \
                     which this machine lacks or forbids\n";
        std::io::stderr()
            .write_all(line)
            .expect("standard error is open");
    }
    way
}

/// A network and mounts of their own, held by a process.
struct Namespace {
    holder: Child,
    /// Whether it belongs to a namespace of users as well.
    has_users: bool,
}

impl Namespace {
    fn hold(way: &[&str]) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(way);
        Self::held_by(unshare, way.contains(&"--user"))
    }

    /// Another one, with the same users.
    fn another(&self) -> Self {
        let mut unshare = self.enter();
        unshare.args(["unshare", "--net", "--mount"]);
        Self::held_by(unshare, self.has_users)
    }

    fn held_by(mut unshare: Command, has_users: bool) -> Self {
        let holder = unshare
            .args(["sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut holder = holder.unwrap_or_else(|error| panic!("{unshare:?}: {error}"));
        let mut line = String::new();
        if let Some(said) = &mut holder.stdout {
            let read = BufReader::new(said).read_line(&mut line);
            assert!(
                read.is_ok() && line == "held\n",
                "{unshare:?} said {line:?}"
            );
        }
        Self { holder, has_users }
    }

    /// Runs what is added in this namespace.
    fn enter(&self) -> Command {
        let mut enter = Command::new("nsenter");
        enter.arg("--target").arg(self.holder.id().to_string());
        if self.has_users {
            enter.args(["--user", "--preserve-credentials"]);
        }
        enter.args(["--net", "--mount"]);
        enter
    }

    /// Runs a tool in it that must succeed.
    fn root(&self, tool: &[&str]) {
        let ran = self.enter().args(tool).output();
        let Output { status, stderr, .. } = ran.unwrap_or_else(|error| panic!("{tool:?}: {error}"));
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{tool:?} ended with {status}: {said}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended already; the namespace ends with it and with what runs in it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
