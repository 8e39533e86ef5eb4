//! What no type, range or single key of a configuration can say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{CoordinatorConfig, TimingsConfig};
use crate::address::CoordinatorAddress;
use crate::document::{Finding, KeyPath, quoted};
use crate::limits::VANISHED_COORDINATOR_MS;
use crate::listen::Guard;

/// Linux's IFNAMSIZ, without the closing NUL.
const MAX_INTERFACE_BYTES: usize = 15;

/// Labels travel with every hello and stand in every view of a node.
const MAX_LABELS: usize = 64;
const MAX_LABEL_BYTES: usize = 128;

/// With fewer missed signs of life, one late message would cost a healthy leader its place.
const LEAST_HEARTBEATS_PER_ELECTION: u32 = 3;

/// Agents and workers that have noticed that their coordinator vanished find the next leader within this time.
const FIND_LEADER_MS: u64 = 1_000;

/// Below this garde complains already.
const LEAST_SILENCE_MS: u64 = 1_000;

fn path(text: &str) -> KeyPath {
    KeyPath::parse(text)
}

pub(super) fn access(cluster_key: Option<&Path>, insecure: bool) -> Option<Finding> {
    (cluster_key.is_some() && insecure).then(|| {
        Finding::value(
            path("insecure"),
            "does not go with cluster_key, which keeps strangers out",
        )
        .or_at(path("cluster_key"))
        .note("leave one of the two out")
    })
}

/// The rule that all listeners follow, told at the key that names the address.
pub(super) fn listener(key: &str, address: Option<IpAddr>, guard: Guard) -> Option<Finding> {
    let refused = guard.check(address?).err()?;
    Some(
        Finding::value(
            path(key),
            format!("{} can be reached from other machines, and nothing keeps strangers out", refused.address),
        )
        .note("set cluster_key = \"FILE\", the same file on every node, or insecure = true to let everyone in"),
    )
}

pub(super) fn distinct(coordinators: &[CoordinatorAddress]) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let repeated = coordinators
        .iter()
        .enumerate()
        .filter(|(_, address)| !seen.insert(*address));
    repeated
        .map(|(index, address)| {
            Finding::value(
                path("coordinators").index(index),
                format!("{address} is there already"),
            )
        })
        .collect()
}

pub(super) fn interface(interface: Option<&str>, listen: Option<IpAddr>) -> Option<Finding> {
    let name = interface?;
    let is_name = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '/';
    if name.is_empty() || name.len() > MAX_INTERFACE_BYTES || !name.chars().all(is_name) {
        let reason = format!("{} is no name of a network interface", quoted(name));
        return Some(Finding::value(path("interface"), reason).note("`ip address` lists them"));
    }
    let listen = listen?;
    Some(
        Finding::value(
            path("listen"),
            format!("{listen} does not go with interface = {name:?}, whose address is taken"),
        )
        .note("leave one of the two out"),
    )
}

/// What others are told must be an address that they can reach.
pub(super) fn advertised(
    listen: Option<IpAddr>,
    has_interface: bool,
    advertised: Option<IpAddr>,
) -> Option<Finding> {
    match advertised {
        Some(address) if address.is_unspecified() => Some(Finding::value(
            path("advertised_address"),
            format!("nobody can reach {address}"),
        )),
        None if !has_interface && listen.is_some_and(|address| address.is_unspecified()) => Some(
            Finding::value(
                path("listen"),
                "with every address of this machine listened on, advertised_address must say which one others use",
            )
            .note("set advertised_address = \"ADDRESS\""),
        ),
        Some(_) | None => None,
    }
}

pub(super) fn ports(range: Option<[u16; 2]>, slots: u32) -> Option<Finding> {
    let [first, last] = range?;
    let at = path("data_port_range");
    if first == 0 {
        return Some(Finding::value(at.index(0), "ports begin at 1"));
    }
    if first > last {
        let reason = format!("the first port, {first}, is above the last, {last}");
        return Some(Finding::value(at, reason));
    }
    let ports = u32::from(last - first) + 1;
    (ports < slots).then(|| {
        Finding::value(
            at,
            format!("{ports} ports cannot serve {slots} slots, whose workers need one each"),
        )
    })
}

pub(super) fn labels(labels: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if labels.len() > MAX_LABELS {
        let reason = format!("{} labels, at most {MAX_LABELS} are allowed", labels.len());
        findings.push(Finding::value(path("labels"), reason));
    }
    for (name, value) in labels.iter().take(MAX_LABELS) {
        let at = path("labels").key(name);
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
        if name.is_empty() || name.len() > MAX_LABEL_BYTES || !name.bytes().all(is_plain) {
            let reason = format!(
                "a label's name has 1 to {MAX_LABEL_BYTES} letters, digits, '.', '_', '-' or '/'"
            );
            findings.push(Finding::key(at, reason));
        } else if value.len() > MAX_LABEL_BYTES || value.chars().any(char::is_control) {
            let reason = format!(
                "a label's value has at most {MAX_LABEL_BYTES} bytes and no control characters"
            );
            findings.push(Finding::value(at, reason));
        }
    }
    findings
}

/// garde's check of a cluster's name.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is garde's"
)]
pub(super) fn cluster_name(name: &str, (): &()) -> garde::Result {
    const MAX_NAME_BYTES: usize = 64;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    let reason = "must be 1 to 64 letters, digits, '-', '_' or '.'";
    Err(garde::Error::new(format!("{} {reason}", quoted(name))))
}

/// Others must know the port beforehand.
pub(super) fn fixed_port(listen: SocketAddr) -> Option<Finding> {
    (listen.port() == 0)
        .then(|| Finding::value(path("listen"), "others must know the port: it can't be 0"))
}

pub(super) fn peers(config: &CoordinatorConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for (index, peer) in config.peers.iter().enumerate() {
        let at = |key: &str| path("peers").index(index).key(key);
        if !ids.insert(peer.id) {
            let reason = format!("another peer has the id {} already", peer.id);
            findings.push(Finding::value(at("id"), reason));
        }
        if !addresses.insert(&peer.address) {
            let reason = format!("another peer has the address {} already", peer.address);
            findings.push(Finding::value(at("address"), reason));
        }
    }
    let count = config.peers.len();
    if count > 0 && !ids.contains(&config.id) {
        let reason = format!(
            "peers has no entry of this coordinator, whose id is {}",
            config.id
        );
        findings.push(
            Finding::value(path("peers"), reason)
                .note("peers lists all coordinators, this one included"),
        );
    }
    if config.join && count < 2 {
        findings.push(Finding::value(
            path("join"),
            "to join a cluster, peers must name a coordinator of it besides this one",
        ));
    }
    // A cluster that changes its members passes through even numbers; a new one has no reason to.
    if !config.join && count > 0 && count.is_multiple_of(2) {
        let reason = format!(
            "{count} coordinators bear no more losses than {}: take 1, 3 or 5",
            count - 1
        );
        findings.push(Finding::value(path("peers"), reason));
    }
    findings
}

/// Others are sent to the advertised address.
pub(super) fn reachable(config: &CoordinatorConfig) -> Option<Finding> {
    let told = config.advertised_address.is_some() || !config.peers.is_empty();
    (config.listen.ip().is_unspecified() && !told).then(|| {
        Finding::value(
            path("listen"),
            "with every address of this machine listened on, advertised_address must say which one others use",
        )
        .note("set advertised_address = \"http://HOST:PORT\"")
    })
}

pub(super) fn election(timings: &TimingsConfig) -> Option<Finding> {
    let least = timings
        .heartbeat_ticks
        .saturating_mul(LEAST_HEARTBEATS_PER_ELECTION);
    (timings.election_ticks < least).then(|| {
        let reason = format!(
            "{} ticks are less than {LEAST_HEARTBEATS_PER_ELECTION} signs of life of {} ticks each: a healthy leader would be deposed",
            timings.election_ticks, timings.heartbeat_ticks
        );
        Finding::value(path("timings.election_ticks"), reason)
            .or_at(path("timings.heartbeat_ticks"))
            .note(format!("set timings.election_ticks to {least} or more"))
    })
}

/// A new leader waits for agents and workers for twice the silence; those whose coordinator vanished must be back by then.
pub(super) fn silence(timings: &TimingsConfig) -> Option<Finding> {
    let needed_ms = VANISHED_COORDINATOR_MS + FIND_LEADER_MS;
    let waited_ms = timings.silence_ms.saturating_mul(2);
    let is_possible = timings.silence_ms >= LEAST_SILENCE_MS;
    (is_possible && waited_ms < needed_ms).then(|| {
        let reason = format!(
            "a new leader waits twice as long, {waited_ms} ms, for agents and workers, which need up to {needed_ms} ms to notice \
             that the old one's host vanished and to find it: they would be given up although they live"
        );
        Finding::value(path("timings.silence_ms"), reason)
            .note(format!("set timings.silence_ms to {} or more", needed_ms / 2))
    })
}
