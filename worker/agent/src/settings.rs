//! From a configuration to what the agent works with: keys read, interfaces looked up, paths absolute.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use convoy_access::Access;
use convoy_client::{Endpoints, random_u64};
use convoy_common::config::AgentConfig;
use convoy_process::Spawner;
use convoy_proto::{PROTOCOL_VERSION, v1};

use crate::interface::address_of;
use crate::life::{DataPlane, Workplace};
use crate::preflight::Preflight;

/// What the agent works with.
pub(crate) struct Settings {
    /// Says hello in every session.
    pub(crate) hello: v1::AgentHello,
    pub(crate) slots: u32,
    /// For how long the coordinators may be out of reach.
    pub(crate) reach_limit: Duration,
    pub(crate) workplace: Workplace,
}

impl Settings {
    /// Makes the work folder, too.
    ///
    /// # Errors
    /// If the key can't be read, strangers could come in, there is no such interface, or the folders can't be made.
    pub(crate) fn of(config: AgentConfig, spawner: Spawner) -> anyhow::Result<Self> {
        let access = Access::open(config.cluster_key.as_deref(), config.insecure)?;
        let listen = match &config.interface {
            Some(interface) => address_of(interface)?,
            None => config.listen_address(),
        };
        access.check_listen(listen)?;
        let advertised = config.advertised_address.unwrap_or(listen);
        let endpoints =
            Endpoints::new(config.coordinators.clone())?.with_key(access.key().cloned());
        Ok(Self {
            hello: hello(&config, advertised),
            slots: config.slots,
            reach_limit: Duration::from_millis(config.coordinator_timeout_ms),
            workplace: workplace(config, listen, advertised, endpoints, spawner)?,
        })
    }
}

fn hello(config: &AgentConfig, advertised: IpAddr) -> v1::AgentHello {
    v1::AgentHello {
        protocol_version: PROTOCOL_VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        node_id: config.node_id.to_string(),
        incarnation: random_u64(),
        slots: config.slots,
        advertised_host: advertised.to_string(),
        labels: config.labels.clone(),
        worker_memory_bytes: config.worker_memory_limit_mib.map(|mib| mib << 20),
    }
}

fn workplace(
    config: AgentConfig,
    listen: IpAddr,
    advertised: IpAddr,
    endpoints: Endpoints,
    spawner: Spawner,
) -> anyhow::Result<Workplace> {
    let work_dir = absolute(&config.work_dir)?;
    convoy_files::ensure_folder(&work_dir)?;
    let log_dir = config.log_dir.as_deref().map(absolute).transpose()?;
    if let Some(log_dir) = &log_dir {
        convoy_files::ensure_folder(log_dir)?;
    }
    Ok(Workplace {
        spawner,
        work_dir,
        log_dir,
        endpoints,
        data_plane: DataPlane {
            listen,
            advertised,
            ports: config.data_ports(),
            cluster_key: config.cluster_key.as_deref().map(absolute).transpose()?,
            insecure: config.insecure,
        },
        worker_binary: config.worker_binary.as_deref().map(absolute).transpose()?,
        memory_limit_mib: config.worker_memory_limit_mib,
        stop_grace: Duration::from_millis(config.stop_grace_ms),
        preflight: Preflight::default(),
    })
}

/// Workers are told paths, and run elsewhere.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}
