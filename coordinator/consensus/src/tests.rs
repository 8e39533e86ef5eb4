//! Stories of a few replicas, told with a network of queues and simulated disks.

mod disks;
mod group;
mod leadership;
mod members;
mod messages;
mod reads;
mod snapshots;
mod torn;
