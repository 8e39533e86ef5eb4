//! What an embedded coordinator can be told.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use convoy_access::Access;

/// How a coordinator runs inside another process.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Where it listens; port 0 lets the system choose. Off loopback only as `access` allows.
    pub listen: SocketAddr,
    /// How strangers are kept out.
    pub access: Access,
    /// The number of the first job: job ids name folders, so they must not repeat where those lie.
    pub first_job: u64,
    /// When it loses patience.
    pub timings: Timings,
    /// Whether a shutdown ends the agents too: the cluster ends with this process.
    pub shutdown_ends_agents: bool,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access: Access::default(),
            first_job: 1,
            timings: Timings::default(),
            shutdown_ends_agents: true,
        }
    }
}

/// When the coordinator loses patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often it looks at the time.
    pub tick: Duration,
    /// A peer of which nothing was heard for so long is lost. Peers send a heartbeat every 500 ms.
    pub silence: Duration,
    /// A session's first message must come within this time.
    pub hello: Duration,
    /// After a worker's end, its own last words may still be on their way on another connection.
    pub settle: Duration,
    /// After a broken collective, the end or failure of a worker that explains it must be reported within this time.
    pub symptom: Duration,
    /// From its placement to its first session: a worker starts, loads libtorch and opens its data.
    pub attach: Duration,
    /// From Stop to the last Ready.
    pub forming: Duration,
    /// From the last worker's Trained to the final checkpoint's manifest.
    pub last_checkpoint: Duration,
    /// From a job's end to the end of its workers, before the agent ends them.
    pub finish: Duration,
    /// Between two progress records in the log.
    pub progress_record: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(100),
            silence: Duration::from_secs(3),
            hello: Duration::from_secs(5),
            settle: Duration::from_millis(300),
            symptom: Duration::from_secs(5),
            attach: Duration::from_secs(120),
            forming: Duration::from_secs(120),
            last_checkpoint: Duration::from_secs(300),
            finish: Duration::from_secs(10),
            progress_record: Duration::from_secs(5),
        }
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
