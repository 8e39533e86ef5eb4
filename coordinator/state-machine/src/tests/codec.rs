//! What is kept can be read again, by newer builds too; what is damaged is refused and never crashes.

use std::io::{self, Read, Write};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde::Serialize;
use serde_json::Value;

use super::fixtures::*;
use crate::Cluster;
use crate::codec::{
    self, CodecError, decode_command, encode_command, read_snapshot, write_snapshot,
};
use crate::command::{Command, Envelope};
use crate::limits::MAX_COMMAND_BYTES;
use crate::version::ClusterVersion;

/// A command's bytes as a build would write them whose types look like this.
fn written_as(value: &Value) -> Vec<u8> {
    let mut bytes = vec![b'C', codec::COMMAND_FORMAT];
    let mut serializer = rmp_serde::Serializer::new(&mut bytes);
    value.serialize(&mut serializer).unwrap();
    bytes
}

fn snapshot(cluster: &Cluster) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_snapshot(cluster, &mut bytes).unwrap();
    bytes
}

fn text<T>(result: Result<T, CodecError>) -> String {
    result.err().expect("it must be refused").to_string()
}

#[test]
fn fields_of_a_newer_build_are_skipped() {
    let envelope = register("a", 1, 2).from_client("cli", 3);
    let mut value = serde_json::to_value(&envelope).unwrap();
    value["priority"] = 7.into();
    value["origin"]["session"] = "x".into();
    value["command"]["RegisterNode"]["offer"]["gpus"] = serde_json::json!([{"name": "H100"}, null]);
    assert_eq!(decode_command(&written_as(&value)).unwrap(), envelope);
}

#[test]
fn fields_that_an_older_build_did_not_know_get_their_default() {
    let mut value = serde_json::to_value(Envelope::from(register("a", 1, 2))).unwrap();
    value.as_object_mut().unwrap().remove("origin");
    let offer = value["command"]["RegisterNode"]["offer"]
        .as_object_mut()
        .unwrap();
    for field in ["labels", "build", "protocol_version", "worker_memory_bytes"] {
        offer.remove(field).unwrap();
    }
    let read = decode_command(&written_as(&value)).unwrap();
    let Command::RegisterNode { offer, .. } = read.command else {
        panic!("{read:?}");
    };
    assert_eq!(
        (offer.slots, offer.labels.len(), offer.worker_memory_bytes),
        (2, 0, None)
    );
    assert_eq!(read.origin, None);
}

#[test]
fn field_that_always_was_there_is_missed_by_name() {
    let mut value = serde_json::to_value(Envelope::from(lose("a", 1))).unwrap();
    value["command"]["NodeLost"]
        .as_object_mut()
        .unwrap()
        .remove("reason");
    let told = text(decode_command(&written_as(&value)));
    assert!(told.contains("missing field `reason`"), "{told}");
}

#[test]
fn command_of_a_newer_build_is_refused_by_name() {
    let value = serde_json::json!({"command": {"DrainNode": {"node": "a"}}});
    let told = text(decode_command(&written_as(&value)));
    assert!(
        told.contains("`DrainNode`") && told.contains("newer build"),
        "{told}"
    );
}

#[test]
fn bytes_of_another_kind_or_format_are_told_with_what_was_expected() {
    let bytes = encode_command(&lose("a", 1).into()).unwrap();
    let told = text(codec::decode_answer(&bytes));
    assert_eq!(
        told,
        "these bytes are no answer: they begin with [43], not with [41]"
    );
    let mut newer = bytes.clone();
    newer[1] = 9;
    let told = text(decode_command(&newer));
    assert!(
        told.starts_with("command has format 9, this build reads format 1"),
        "{told}"
    );
    let mut trailing = bytes;
    trailing.push(0);
    assert!(matches!(
        decode_command(&trailing),
        Err(CodecError::Trailing { .. })
    ));
    let mut snapshot = snapshot(&Cluster::default());
    let followed = [&snapshot[..], &[0]].concat();
    let read = read_snapshot(&followed[..]);
    assert!(matches!(read, Err(CodecError::Trailing { .. })));
    snapshot[8] = 7;
    let told = text(read_snapshot(&snapshot[..]));
    assert!(
        told.starts_with("state has format 7, this build reads format 1"),
        "{told}"
    );
    snapshot[0] = b'X';
    assert!(matches!(
        read_snapshot(&snapshot[..]),
        Err(CodecError::OfAnotherKind { .. })
    ));
}

#[test]
fn state_of_a_cluster_version_beyond_this_build_is_refused_with_both_versions() {
    let newer = Cluster::at_version(ClusterVersion(ClusterVersion::NEWEST.0 + 1));
    let told = text(read_snapshot(&snapshot(&newer)[..]));
    assert_eq!(
        told,
        "cluster version 2 is committed, this build knows 1 at most: start this replica with a newer build"
    );
}

#[test]
fn every_prefix_of_something_good_is_refused() {
    let command = encode_command(&register("a", 1, 2).from_client("cli", 3)).unwrap();
    for length in 0..command.len() {
        assert!(
            decode_command(&command[..length]).is_err(),
            "{length} bytes"
        );
    }
    let state = snapshot(&Story::training().cluster);
    for length in 0..state.len() {
        assert!(read_snapshot(&state[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn command_that_is_too_large_is_not_written() {
    let long = "x".repeat(MAX_COMMAND_BYTES);
    let told = text(encode_command(
        &annotate(&job("a-1"), "k", Some(&long)).into(),
    ));
    assert_eq!(
        told,
        format!("a command has more than the {MAX_COMMAND_BYTES} bytes that it may have")
    );
}

/// Fails after so many bytes.
struct Failing(usize);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives one byte at a time, and then fails.
struct Dripping<'a>(&'a [u8], Option<io::ErrorKind>);

impl Read for Dripping<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match (self.0.split_first(), self.1) {
            (None, Some(kind)) => Err(kind.into()),
            (None, None) => Ok(0),
            (Some((first, rest)), _) => {
                bytes[0] = *first;
                self.0 = rest;
                Ok(1)
            }
        }
    }
}

#[test]
fn error_of_the_writer_or_reader_is_what_is_told() {
    let mut story = Story::training();
    for sequence in 2..100 {
        story.ok(submit(sequence, 2));
    }
    let state = snapshot(&story.cluster);
    for room in [0, 4, state.len() - 1] {
        let Err(CodecError::Io { source, .. }) = write_snapshot(&story.cluster, Failing(room))
        else {
            panic!("there is no room for more than {room} bytes");
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }
    assert_eq!(
        read_snapshot(Dripping(&state, None)).unwrap(),
        story.cluster
    );
    for length in [3, 100, state.len()] {
        let broken = Dripping(&state[..length], Some(io::ErrorKind::ConnectionReset));
        let Err(CodecError::Io { source, .. }) = read_snapshot(broken) else {
            panic!("it breaks after {length} bytes");
        };
        assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_crash_a_reader(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), garbage in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        let mut state = snapshot(&Story::training().cluster);
        let mut command = encode_command(&register("a", 1, 2).from_client("cli", 3)).unwrap();
        for (at, byte) in changes {
            let (place, other) = (at.index(state.len()), at.index(command.len()));
            state[place] = byte;
            command[other] = byte;
        }
        // Damage may leave something that can be read: that it is found by checksums is not this module's task.
        let _ = read_snapshot(&state[..]);
        let _ = decode_command(&command);
        let _ = codec::decode_answer(&garbage);
        let _ = decode_command(&[&[b'C', 1], &garbage[..]].concat());
    }
}
