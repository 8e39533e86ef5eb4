//! Generates the types from `proto/convoy.proto` without a protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/convoy.proto");
    let descriptors = protox::compile(["convoy.proto"], ["proto"])?;
    // Ordered, so that the same content has the same bytes.
    tonic_prost_build::configure()
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
