//! A few coordinators that can be killed, and short ways to speak with them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use convoy_client::{CoordinatorAddress, Endpoints, JobsClient};
use convoy_common::ids::JobId;
use convoy_coordinator::{
    Begin, Coordinator, CoordinatorSettings, ReplicaId, ReplicaLimits, ReplicationError, StartError,
};
use convoy_proto::v1;
use convoy_proto::v1::coordinators_client::CoordinatorsClient;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::transport::Channel;

use crate::proxy::Proxy;

/// Far beyond what anything here takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) const SPEC: &str = r#"{
  "name": "talk", "model": {"name": "small_cnn", "classes": 4},
  "data": {"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d", "mean": [0.3], "std": [0.3]},
  "training": {"epochs": 1, "global_batch": 8, "data_shards": 2},
  "optimizer": {"name": "sgd", "learning_rate": 0.1},
  "elastic": {"min_workers": 1, "max_workers": 2},
  "checkpoints": {"folder": "/checkpoints"}
}"#;

/// Ticks without a word of the leader before another is elected, where no test should wait for that or be surprised by it.
const PATIENT_TICKS: u32 = 40;

/// One coordinator, running or not.
pub(crate) struct Member {
    pub(crate) settings: CoordinatorSettings,
    running: Option<Coordinator>,
    /// Why it could not go on.
    pub(crate) failures: mpsc::UnboundedReceiver<String>,
}

pub(crate) struct Group {
    pub(crate) members: BTreeMap<u64, Member>,
    /// Every group has loopback addresses of its own, so that a port is always free, also after a restart.
    host: u8,
    /// By who dials and who is dialled.
    proxies: BTreeMap<(u64, u64), Proxy>,
    folder: TempDir,
}

impl Group {
    /// Three, of which one leads.
    pub(crate) async fn three() -> Self {
        Self::with(ReplicaLimits::default()).await
    }

    pub(crate) async fn with(limits: ReplicaLimits) -> Self {
        let mut group = Self::of_three(limits);
        group.start_all().await;
        group
    }

    /// Three that reach each other through proxies, and are patient with a leader that is silent.
    pub(crate) async fn through_proxies() -> Self {
        let mut group = Self::of_three(ReplicaLimits::default());
        for from in 1..=3 {
            for to in (1..=3).filter(|to| *to != from) {
                let (listen, address) = (group.host(10 * from + to), group.address(to));
                let proxy = Proxy::start(listen, address).await;
                group.proxies.insert((from, to), proxy);
                let replica = &mut group.members.get_mut(&from).unwrap().settings.replica;
                replica.peers.insert(ReplicaId(to), listen.into());
                replica.election_ticks = PATIENT_TICKS;
            }
        }
        group.start_all().await;
        group
    }

    /// Breaks everything on which this one sends to the others.
    pub(crate) fn break_connections_from(&self, id: u64) {
        let proxies = self.proxies.iter();
        for (_, proxy) in proxies.filter(|((from, _), _)| *from == id) {
            proxy.break_connections();
        }
    }

    fn of_three(limits: ReplicaLimits) -> Self {
        static HOSTS: AtomicU8 = AtomicU8::new(1);
        let mut group = Self {
            folder: tempfile::tempdir().unwrap(),
            host: HOSTS.fetch_add(1, Ordering::Relaxed),
            members: BTreeMap::new(),
            proxies: BTreeMap::new(),
        };
        for id in 1..=3 {
            group.add_member(id, Begin::Create, limits);
        }
        group
    }

    async fn start_all(&mut self) {
        for id in 1..=3 {
            self.start(id).await.unwrap();
        }
    }

    pub(crate) fn address(&self, id: u64) -> SocketAddr {
        self.host(id)
    }

    fn host(&self, number: u64) -> SocketAddr {
        // Processes of tests that run at the same time have different ones as well.
        let [_, process, ..] = std::process::id().to_be_bytes();
        let last = std::process::id().to_le_bytes()[0];
        let host = Ipv4Addr::new(
            127,
            1 + last % 200,
            process.wrapping_add(self.host),
            number as u8,
        );
        (host, 7_700).into()
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A coordinator that is not started yet. It knows the first three.
    pub(crate) fn add_member(&mut self, id: u64, begin: Begin, limits: ReplicaLimits) {
        let mut settings = CoordinatorSettings::embedded(self.folder(&id.to_string()));
        settings.listen = self.address(id);
        settings.shutdown_ends_agents = false;
        let replica = &mut settings.replica;
        replica.id = ReplicaId(id);
        replica.begin = begin;
        replica.limits = ReplicaLimits {
            journal: replica.limits.journal,
            max_entry_bytes: replica.limits.max_entry_bytes,
            ..limits
        };
        replica.peers = (1..=3)
            .map(|id| (ReplicaId(id), self.address(id).into()))
            .collect();
        let (failures, told) = mpsc::unbounded_channel();
        settings.failures = Some(failures);
        let member = Member {
            settings,
            running: None,
            failures: told,
        };
        self.members.insert(id, member);
    }

    /// Starts it; a folder that a killed one has not let go of is waited for.
    pub(crate) async fn start(&mut self, id: u64) -> Result<(), StartError> {
        let member = self.members.get_mut(&id).unwrap();
        member.running = Some(eventually(&member.settings).await?);
        member.settings.replica.begin = Begin::Open;
        Ok(())
    }

    /// All at once and without a word, as far as the others can tell.
    pub(crate) fn kill(&mut self, id: u64) {
        drop(self.members.get_mut(&id).unwrap().running.take().unwrap());
    }

    /// As SIGTERM does.
    pub(crate) async fn shut_down(&mut self, id: u64) {
        let coordinator = self.members.get_mut(&id).unwrap().running.take();
        coordinator.unwrap().shutdown().await;
    }

    fn running(&self) -> Vec<u64> {
        let members = self.members.iter();
        let running = members.filter(|(_, member)| member.running.is_some());
        running.map(|(id, _)| *id).collect()
    }

    pub(crate) fn endpoint(&self, id: u64) -> CoordinatorAddress {
        self.address(id).into()
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints::new(self.members.keys().map(|id| self.endpoint(*id))).unwrap()
    }

    pub(crate) async fn jobs(&self) -> JobsClient {
        JobsClient::connect(&self.endpoints(), PATIENCE)
            .await
            .unwrap()
    }

    pub(crate) async fn channel(&self, id: u64) -> Option<Channel> {
        let endpoint = tonic::transport::Endpoint::from_shared(self.endpoint(id).to_string());
        endpoint.unwrap().connect().await.ok()
    }

    /// As the coordinator itself says; none if it does not answer.
    pub(crate) async fn status(&self, id: u64) -> Option<v1::StatusReply> {
        let mut client = CoordinatorsClient::new(self.channel(id).await?);
        let reply = client.status(v1::StatusRequest { any: true }).await;
        reply.ok().map(tonic::Response::into_inner)
    }

    /// Who leads now, if one does.
    pub(crate) async fn leader_now(&self) -> Option<v1::StatusReply> {
        let mut newest: Option<v1::StatusReply> = None;
        for id in self.running() {
            if let Some(status) = self.status(id).await
                && status.role() == v1::CoordinatorRole::Leader
                && newest
                    .as_ref()
                    .is_none_or(|newest| newest.term < status.term)
            {
                newest = Some(status);
            }
        }
        newest
    }

    pub(crate) async fn leader(&self) -> u64 {
        self.eventually("a leader", || async { self.leader_now().await })
            .await
            .id
    }

    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        let mut running = self.running().into_iter();
        running.find(|id| *id != leader).unwrap()
    }

    /// Waits until it has applied at least so much.
    pub(crate) async fn applied(&self, id: u64, index: u64) -> v1::StatusReply {
        let what = format!("coordinator {id} to apply entry {index}");
        self.eventually(&what, || async {
            let status = self.status(id).await?;
            (status.applied >= index).then_some(status)
        })
        .await
    }

    /// Writes something, and waits until every coordinator of three has got it.
    pub(crate) async fn write_to_all(&self, jobs: &JobsClient) {
        submit(jobs).await;
        let applied = self.leader_now().await.unwrap().applied;
        for id in 1..=3 {
            self.applied(id, applied).await;
        }
    }

    /// Looks again and again until there is something.
    pub(crate) async fn eventually<T, F>(&self, what: &str, look: impl Fn() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

pub(crate) async fn submit(jobs: &JobsClient) -> JobId {
    jobs.submit(SPEC.to_owned(), 2).await.unwrap()
}

/// That all of them are there.
pub(crate) async fn assert_known(jobs: &JobsClient, ids: &[&JobId]) {
    for id in ids {
        let view = jobs.describe(id).await.unwrap();
        assert_eq!(view.job_id, id.as_str());
    }
}

pub(crate) fn assert_mentions(text: &impl Debug, words: &[&str]) {
    let text = format!("{text:?}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
}

/// Tries while a killed one has not let go of folder and port.
async fn eventually(settings: &CoordinatorSettings) -> Result<Coordinator, StartError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Coordinator::start(settings.clone()).await {
            Err(
                StartError::Replication(ReplicationError::Disk { .. })
                | StartError::AddressInUse { .. },
            ) if Instant::now() < deadline => {
                tokio::time::sleep(LOOK).await;
            }
            started => return started,
        }
    }
}
