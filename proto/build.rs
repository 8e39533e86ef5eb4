//! Generates the types from the files in `proto/` without a protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["convoy.proto", "cluster.proto", "raft.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Ordered, so that the same content has the same bytes.
        .btree_map(".")
        // Entries are handed on without being copied.
        .bytes(".convoy.raft.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
