//! Three coordinators on loopback.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use convoy_client::{
    Caller, ClientError, CoordinatorsClient, Endpoints, JobsClient, Origin, random_u64,
};
use convoy_common::ids::JobId;
use convoy_process::{Spawner, sibling_binary};
use convoy_proto::v1;
use convoy_proto::v1::jobs_client::JobsClient as Stub;
use tonic::transport::Channel;

use super::member::{Member, free_addresses};
use super::{MEMBERS, VALUE_BYTES, eventually};

/// Until somebody leads; the files of a new log are written before.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A write that finds no leader for so long has found a defect.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Notes that writers keep on one job, a quarter of what it may have.
const NOTES_OF_A_JOB: usize = 16;

/// Three coordinators on loopback, with folders of their own.
pub(super) struct Ours {
    program: PathBuf,
    folder: PathBuf,
    addresses: Vec<SocketAddr>,
    members: Vec<Option<Member>>,
    caller: Caller,
    /// Those that are written to; the last one has one note and is read.
    jobs: Vec<JobId>,
}

/// One writer or reader.
pub(super) struct Client {
    stub: Stub<Channel>,
    job: String,
    read_job: String,
    key: String,
    id: String,
    sequence: u64,
}

impl Ours {
    /// Starts them with their data below `folder` and waits until one leads.
    pub(super) async fn start(spawner: &Spawner, folder: &Path) -> anyhow::Result<Self> {
        let addresses = free_addresses(MEMBERS)?;
        let endpoints = Endpoints::new(addresses.iter().map(|address| (*address).into()))?;
        let mut ours = Self {
            program: sibling_binary("convoy-coordinator")?,
            folder: folder.to_owned(),
            addresses,
            members: Vec::new(),
            caller: Caller::new(endpoints),
            jobs: Vec::new(),
        };
        for place in 0..MEMBERS {
            ours.write_config(place)?;
            let member = ours.start_member(spawner, place, &["--create-cluster"])?;
            ours.members.push(Some(member));
        }
        ours.leader().await?;
        Ok(ours)
    }

    fn start_member(
        &self,
        spawner: &Spawner,
        place: usize,
        more: &[&str],
    ) -> anyhow::Result<Member> {
        let mut arguments = vec![
            OsString::from("--config"),
            self.config_path(place).into_os_string(),
        ];
        arguments.extend(more.iter().map(OsString::from));
        let name = format!("coordinator {}", place + 1);
        let log = self.folder.join(format!("coordinator-{}.log", place + 1));
        Member::start(spawner, &name, &self.program, &arguments, &log)
    }

    fn config_path(&self, place: usize) -> PathBuf {
        self.folder.join(format!("coordinator-{}.toml", place + 1))
    }

    fn write_config(&self, place: usize) -> anyhow::Result<()> {
        let (id, listen) = (place + 1, self.addresses[place]);
        let mut text = format!(
            "id = {id}\ncluster = \"bench\"\nlisten = \"{listen}\"\ndata_dir = \"coordinator-{id}\"\n"
        );
        for (place, address) in self.addresses.iter().enumerate() {
            let id = place + 1;
            text += &format!("[[peers]]\nid = {id}\naddress = \"http://{address}\"\n");
        }
        let path = self.config_path(place);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// # Errors
    /// If one that should run does not.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.members.iter().flatten().try_for_each(Member::check)
    }

    /// Where any of them is reached.
    pub(super) fn endpoints(&self) -> &Endpoints {
        self.caller.endpoints()
    }

    /// Clients of their own, found as any client is.
    pub(super) fn caller(&self) -> Caller {
        Caller::new(self.caller.endpoints().clone())
    }

    /// The place of whoever leads, as it says itself.
    pub(super) async fn leader(&self) -> anyhow::Result<usize> {
        let coordinators = CoordinatorsClient::of(self.caller());
        let found = eventually("a coordinator to lead", START_LIMIT, async || {
            self.check()?;
            let status = coordinators.status().await.ok();
            let leads = status.filter(|status| status.role() == v1::CoordinatorRole::Leader);
            Ok(leads.and_then(|status| usize::try_from(status.id).ok()?.checked_sub(1)))
        });
        found.await
    }

    /// The process of whoever leads.
    pub(super) async fn leading_member(&self) -> anyhow::Result<(SocketAddr, &Member)> {
        let place = self.leader().await?;
        let member = self.members.get(place).and_then(Option::as_ref);
        let member = member.with_context(|| format!("coordinator {} was stopped", place + 1))?;
        Ok((self.addresses[place], member))
    }

    pub(super) fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        match self.members[place].take() {
            Some(member) => member.kill(),
            None => Ok(()),
        }
    }

    /// Starts one that was killed and waits until it holds what the leader holds.
    pub(super) async fn restart(&mut self, spawner: &Spawner, place: usize) -> anyhow::Result<()> {
        self.members[place] = Some(self.start_member(spawner, place, &[])?);
        let coordinators = CoordinatorsClient::of(self.caller());
        eventually("a coordinator to catch up", START_LIMIT, async || {
            self.check()?;
            let Ok(status) = coordinators.status().await else {
                return Ok(None);
            };
            let mut others = status.members.iter();
            let other = others.find(|member| member.id == place as u64 + 1);
            let progress = other.and_then(|member| member.progress.as_ref());
            let is_even = progress.is_some_and(|progress| {
                progress.is_active && progress.matched >= status.last_index
            });
            Ok(is_even.then_some(()))
        })
        .await
    }

    /// Submits jobs for so many clients, and one with a single note that is read; no worker ever comes for them.
    pub(super) async fn prepare(&mut self, clients: usize) -> anyhow::Result<()> {
        let jobs = JobsClient::of(self.caller());
        for _ in 0..=clients.div_ceil(NOTES_OF_A_JOB) {
            self.jobs.push(jobs.submit(spec_json(1), 1).await?);
        }
        let mut writer = self.clients(1, 1).await?.remove(0);
        writer.job.clone_from(&writer.read_job);
        writer.write().await
    }

    /// So many clients, as many as were prepared for at most, spread over so many connections to the leader.
    pub(super) async fn clients(
        &self,
        count: usize,
        connections: usize,
    ) -> anyhow::Result<Vec<Client>> {
        let (address, _) = self.leading_member().await?;
        let channels = super::connect(address, connections).await?;
        let read_job = self.jobs.last().context("nothing is prepared")?;
        let client = |number: usize| Client {
            stub: Stub::new(channels[number % channels.len()].clone()),
            job: self.jobs[number / NOTES_OF_A_JOB].to_string(),
            read_job: read_job.to_string(),
            key: format!("note-{}", number % NOTES_OF_A_JOB),
            id: format!("{:016x}", random_u64()),
            sequence: 0,
        };
        Ok((0..count).map(client).collect())
    }

    /// In the place of all others a new one that can be written to.
    pub(super) async fn renew(&mut self) -> anyhow::Result<()> {
        self.cancel_all().await?;
        let jobs = JobsClient::of(self.caller());
        self.jobs.push(jobs.submit(spec_json(1), 1).await?);
        Ok(())
    }

    /// Ends all jobs, so that no agent that comes gets a worker of them.
    pub(super) async fn cancel_all(&mut self) -> anyhow::Result<()> {
        let jobs = JobsClient::of(self.caller());
        for job in std::mem::take(&mut self.jobs) {
            match jobs.cancel(&job, "the benchmark goes on without it").await {
                // One whose workers never came may be over.
                Ok(()) | Err(ClientError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// One that can be written to.
    pub(super) fn first_job(&self) -> anyhow::Result<JobId> {
        let first = self.jobs.first().cloned();
        first.context("nothing is prepared")
    }
}

/// Writes a note by the client library: finds the leader, whichever it is.
pub(super) async fn note(caller: &Caller, job: &JobId, number: u64) -> anyhow::Result<()> {
    let annotate = |connection, origin: Origin| {
        let request = v1::AnnotateRequest {
            job_id: job.to_string(),
            key: "note-0".to_owned(),
            value: Some(value(number)),
            client_id: origin.client_id,
            sequence: origin.sequence,
        };
        async move { Stub::new(connection).annotate(request).await }
    };
    caller
        .command("note something", CALL_LIMIT, annotate)
        .await?;
    Ok(())
}

impl Client {
    /// A named value of 200 bytes that differs from the one before.
    pub(super) async fn write(&mut self) -> anyhow::Result<()> {
        self.sequence += 1;
        let request = v1::AnnotateRequest {
            job_id: self.job.clone(),
            key: self.key.clone(),
            value: Some(value(self.sequence)),
            client_id: self.id.clone(),
            sequence: self.sequence,
        };
        self.stub.annotate(request).await?;
        Ok(())
    }

    /// All of a job, with its one note.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        let job_id = self.read_job.clone();
        self.stub.describe(v1::DescribeRequest { job_id }).await?;
        Ok(())
    }
}

fn value(number: u64) -> String {
    format!("{number:0VALUE_BYTES$}")
}

/// A job for up to so many workers.
pub(super) fn spec_json(workers: u32) -> String {
    let (shards, batch) = (workers, 2 * workers);
    format!(
        r#"{{"name": "bench", "model": {{"name": "small_cnn", "classes": 4}},
  "data": {{"format": "idx", "train_images": "/a", "train_labels": "/b", "test_images": "/c", "test_labels": "/d", "mean": [0.3], "std": [0.3]}},
  "training": {{"epochs": 1, "global_batch": {batch}, "data_shards": {shards}}},
  "optimizer": {{"name": "sgd", "learning_rate": 0.1}},
  "elastic": {{"min_workers": 1, "max_workers": {workers}}},
  "checkpoints": {{"folder": "/checkpoints"}}}}"#
    )
}
