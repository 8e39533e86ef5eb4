//! Three members of etcd on loopback, with its defaults: every write is synced before it is acknowledged.

mod wire;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use convoy_process::Spawner;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::member::{Member, free_addresses};
use super::{MEMBERS, VALUE_BYTES, connect, eventually};
use wire::Kv;

const START_LIMIT: Duration = Duration::from_secs(30);
/// A write that a member does not answer within this is tried at the next: the one it was passed on to may be gone.
const PATIENCE: Duration = Duration::from_millis(250);
/// Between two tries where nobody can be reached.
const PAUSE: Duration = Duration::from_millis(10);

/// Where etcd is, and which.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: PathBuf,
    /// As it says itself: `etcd Version: 3.4.23`.
    pub(super) version: String,
}

/// Three members on loopback, with folders of their own.
pub(super) struct Etcd {
    program: Program,
    folder: PathBuf,
    clients: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
    members: Vec<Option<Member>>,
}

/// One writer or reader.
pub(super) struct Client {
    kv: Kv,
    key: Vec<u8>,
    written: u64,
}

impl Program {
    /// Looks whether it is there.
    pub(super) fn find(path: &Path) -> anyhow::Result<Self> {
        let output = Command::new(path).arg("--version").output();
        let output = output.with_context(|| {
            format!(
                "{} can't be started: `apt-get install etcd-server` brings etcd 3.4 on Debian, --etcd PATH names one, \
                 --without-etcd measures Convoy alone",
                path.display()
            )
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().next().unwrap_or_default();
        match line.strip_prefix("etcd Version: ") {
            Some(version) => Ok(Self {
                path: path.to_owned(),
                version: version.to_owned(),
            }),
            None => bail!(
                "{} --version says {line:?}, so it is no etcd",
                path.display()
            ),
        }
    }
}

impl Etcd {
    /// Starts them with their data below `folder` and waits until one leads.
    pub(super) async fn start(
        spawner: &Spawner,
        program: Program,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut addresses = free_addresses(2 * MEMBERS)?;
        let mut etcd = Self {
            program,
            folder: folder.to_owned(),
            peers: addresses.split_off(MEMBERS),
            clients: addresses,
            members: Vec::new(),
        };
        for place in 0..MEMBERS {
            let member = etcd.start_member(spawner, place)?;
            etcd.members.push(Some(member));
        }
        etcd.leader().await?;
        Ok(etcd)
    }

    fn start_member(&self, spawner: &Spawner, place: usize) -> anyhow::Result<Member> {
        let name = |place| format!("etcd-{}", place + 1);
        let (client, peer) = (
            format!("http://{}", self.clients[place]),
            format!("http://{}", self.peers[place]),
        );
        let everyone: Vec<_> = (0..MEMBERS)
            .map(|place| format!("{}=http://{}", name(place), self.peers[place]))
            .collect();
        let data = self.folder.join(name(place));
        let arguments = [
            ("--name", name(place)),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer.clone()),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", everyone.join(",")),
            ("--initial-cluster-state", "new".to_owned()),
            ("--log-level", "error".to_owned()),
            ("--logger", "zap".to_owned()),
        ];
        let arguments = arguments
            .into_iter()
            .flat_map(|(flag, value)| [OsString::from(flag), OsString::from(value)]);
        let data = [OsString::from("--data-dir"), data.into_os_string()];
        let arguments: Vec<_> = arguments.chain(data).collect();
        let log = self.folder.join(format!("{}.log", name(place)));
        Member::start(spawner, &name(place), &self.program.path, &arguments, &log)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.members.iter().flatten().try_for_each(Member::check)
    }

    /// The place of whoever leads, as it says itself.
    pub(super) async fn leader(&self) -> anyhow::Result<usize> {
        eventually("an etcd to lead", START_LIMIT, async || {
            self.check()?;
            for (place, address) in self.clients.iter().enumerate() {
                if self.members.get(place).is_none_or(Option::is_none) {
                    continue;
                }
                if let Ok(status) = status(*address).await
                    && status.leads()
                {
                    return Ok(Some(place));
                }
            }
            Ok(None)
        })
        .await
    }

    pub(super) fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        match self.members[place].take() {
            Some(member) => member.kill(),
            None => Ok(()),
        }
    }

    /// Starts one that was killed and waits until it has what the leader has.
    pub(super) async fn restart(&mut self, spawner: &Spawner, place: usize) -> anyhow::Result<()> {
        self.members[place] = Some(self.start_member(spawner, place)?);
        let leader = self.clients[self.leader().await?];
        eventually("an etcd to catch up", START_LIMIT, async || {
            self.check()?;
            let statuses = (status(leader).await, status(self.clients[place]).await);
            let (Ok(leader), Ok(other)) = statuses else {
                return Ok(None);
            };
            Ok((other.applied() >= leader.applied()).then_some(()))
        })
        .await
    }

    /// So many clients, spread over so many connections to the leader.
    pub(super) async fn clients(
        &self,
        count: usize,
        connections: usize,
    ) -> anyhow::Result<Vec<Client>> {
        let channels = connect(self.clients[self.leader().await?], connections).await?;
        let client = |number: usize| {
            Client::new(
                channels[number % channels.len()].clone(),
                &format!("note-{number}"),
            )
        };
        Ok((0..count).map(client).collect())
    }

    /// Clients of all members, for one writer that goes on at the next when one is gone.
    pub(super) fn client_of_each(&self) -> anyhow::Result<Vec<Client>> {
        let lazily = |address: &SocketAddr| -> anyhow::Result<Client> {
            let channel = super::endpoint(*address)?.connect_lazy();
            Ok(Client::new(channel, "note-0"))
        };
        self.clients.iter().map(lazily).collect()
    }
}

impl Client {
    fn new(channel: Channel, key: &str) -> Self {
        Self {
            kv: Kv::new(channel),
            key: key.as_bytes().to_vec(),
            written: 0,
        }
    }

    /// A named value of 200 bytes that differs from the one before.
    pub(super) async fn write(&mut self) -> anyhow::Result<()> {
        self.written += 1;
        let value = format!("{:0VALUE_BYTES$}", self.written).into_bytes();
        self.kv.put(self.key.clone(), value).await?;
        Ok(())
    }

    /// Its value, linearizable. One that was never written is missing.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        let found = self.kv.get(self.key.clone()).await?;
        if found == VALUE_BYTES {
            return Ok(());
        }
        Err(anyhow!(
            "etcd's value has {found} bytes, {VALUE_BYTES} were written"
        ))
    }
}

/// Writes once, at whichever member takes it; `place` is the one to begin with, and the one that took it afterwards.
pub(super) async fn write_anywhere(clients: &mut [Client], place: &mut usize) {
    loop {
        let count = clients.len();
        let client = &mut clients[*place % count];
        if let Ok(Ok(())) = timeout(PATIENCE, client.write()).await {
            return;
        }
        *place = (*place + 1) % count;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn status(address: SocketAddr) -> anyhow::Result<wire::StatusResponse> {
    let channel = super::endpoint(address)?.connect().await?;
    Ok(Kv::new(channel).status().await?)
}
