//! One process of a contender: a coordinator, or an etcd.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use convoy_process::{Child, PARENT_PID_FLAG, Signal, Spawner, die_with_parent};

use super::super::arguments::MemberArguments;

/// From a kill to the end of a process.
const END_LIMIT: Duration = Duration::from_secs(10);
/// What is told of a log when its process ends unasked.
const LAST_LINES: usize = 8;
/// Ticks of a second in `/proc`, which never change for programs (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A process of a contender; dropped, it is killed.
pub(super) struct Member {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// In user and kernel mode, on all cores together.
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
}

impl Member {
    /// Starts `program`; what it prints goes to the end of `log`.
    pub(super) fn start(
        spawner: &Spawner,
        name: &str,
        program: &Path,
        arguments: &[OsString],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("the path of this program is not known")?;
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("can't write {}", log.display()))?;
        let mut command = Command::new(own);
        command
            .args(["bench", "member"])
            .arg(program)
            .args(arguments)
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output));
        Ok(Self {
            name: name.to_owned(),
            child: spawner.spawn(command, |_| {})?,
            log: log.to_owned(),
        })
    }

    /// What it has used.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        let read = |what: &str| {
            let path = format!("/proc/{}/{what}", self.child.pid());
            fs::read_to_string(&path).with_context(|| format!("can't read {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let usage = cpu_seconds(&stat).zip(resident_bytes(&status));
        let (cpu_seconds, resident_bytes) = usage.with_context(|| {
            format!(
                "/proc/{} does not say what {} uses",
                self.child.pid(),
                self.name
            )
        })?;
        Ok(Usage {
            cpu_seconds,
            resident_bytes,
        })
    }

    /// Ends it without a word, as `kill -9` does, and waits until it is gone.
    pub(super) fn kill(&self) -> anyhow::Result<()> {
        self.child.signal(Signal::KILL)?;
        if self.child.wait_for(END_LIMIT).is_none() {
            bail!("{} is still there after SIGKILL", self.name);
        }
        Ok(())
    }

    /// # Errors
    /// If it has ended, with its last words.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.child.exit() {
            None => Ok(()),
            Some(exit) => Err(anyhow!("{} ended ({exit}){}", self.name, self.last_words())),
        }
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("; its last words:\n  {}", lines.join("\n  "))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // One that ended by itself was told of before.
        let _ = self.kill();
    }
}

/// User and kernel time in `/proc/PID/stat`; its second field may hold anything but ends with the last bracket.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}

/// Ports of loopback that are free now. Nobody else takes one of them before a member does, unless it searches for one in
/// the same moment; the member says so then.
pub(super) fn free_addresses(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // All are held until the last is found, or some would be the same.
    let held = (0..count).map(|_| bind()).collect::<Result<Vec<_>, _>>();
    let held = held.context("no free port on loopback")?;
    let addresses = held.iter().map(TcpListener::local_addr);
    Ok(addresses.collect::<Result<_, _>>()?)
}

/// What `convoy bench member PROGRAM ...` does: becomes the program, and ends with whoever started it.
pub(in crate::bench) fn become_member(arguments: &MemberArguments) -> anyhow::Error {
    match split(&arguments.command) {
        Err(error) => error,
        Ok((parent, program, arguments)) => match die_with_parent(parent, Signal::KILL) {
            Err(orphaned) => orphaned.into(),
            // Returns only if it fails; the kernel keeps the promise to the new program.
            Ok(()) => {
                let error = Command::new(program).args(arguments).exec();
                anyhow!(error).context(format!("can't start {}", program.display()))
            }
        },
    }
}

/// Parent, program and its arguments.
fn split(command: &[OsString]) -> anyhow::Result<(u32, &Path, &[OsString])> {
    let [program, arguments @ .., flag, parent] = command else {
        bail!("this is for convoy's own use: a program, its arguments, {PARENT_PID_FLAG} PID");
    };
    let parent = parent.to_str().and_then(|text| text.parse().ok());
    match parent {
        Some(parent) if flag == PARENT_PID_FLAG => Ok((parent, Path::new(program), arguments)),
        Some(_) | None => bail!("the command ends without {PARENT_PID_FLAG} PID"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_a_program_is_called() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 5 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (a) S 1"), None);
        let status = "Name:\tx\nVmHWM:\t   9000 kB\nVmRSS:\t   1024 kB\nThreads:\t1\n";
        assert_eq!(resident_bytes(status), Some(1 << 20));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn members_know_who_started_them() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let command = words("etcd --name a --parent-pid 7");
        let (parent, program, arguments) = split(&command).unwrap();
        assert_eq!((parent, program), (7, Path::new("etcd")));
        assert_eq!(arguments, words("--name a"));
        for wrong in ["etcd", "etcd --name a", "etcd --parent-pid x"] {
            assert!(split(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_differ() {
        let mut addresses = free_addresses(5).unwrap();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 5);
    }
}
