//! Compiles the C++ shim against the libtorch that torch-sys found, and tells the packages that own
//! binaries and tests where that is (`DEP_CONVOY_TORCH_LIB`).

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=shim");
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        panic!(
            "torch-sys did not say where libtorch is: run `cargo xtask quickstart`, or set LIBTORCH to a libtorch 2.11.0"
        );
    };
    let include = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .opt_level(2)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .file("shim/shim.cpp")
        .compile("convoy_torch_shim");
    println!("cargo::metadata=lib={}", lib.display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
