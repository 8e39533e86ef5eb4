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
    let x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    let include = lib.with_file_name("include");
    let mut shim = cpp(x86);
    shim.opt_level(2)
        // Without it libtorch's headers make `parallel_for` a plain loop; torch-sys links the library.
        .flag("-fopenmp")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .file("shim/fixed_point.cpp")
        .file("shim/normalise.cpp")
        .file("shim/normalise_autograd.cpp")
        .file("shim/shim.cpp")
        .file("shim/winograd.cpp")
        .file("shim/winograd_autograd.cpp")
        .compile("convoy_torch_shim");
    for family in ["fixed_point", "normalise"] {
        kernels(x86, family, "baseline", &[]);
    }
    if x86 {
        // What libtorch asks for before it says AVX512.
        let avx512 = ["f", "vl", "bw", "dq"].map(|part| format!("-mavx512{part}"));
        let flags: Vec<&str> = avx512.iter().map(String::as_str).chain(["-mfma"]).collect();
        for family in ["fixed_point", "normalise"] {
            kernels(x86, family, "avx2", &["-mavx2", "-mfma"]);
            kernels(x86, family, "avx512", &flags);
        }
        kernels(x86, "winograd", "avx512", &flags);
    }
    println!("cargo::metadata=lib={}", lib.display());
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

/// The kernels of `family` for one instruction set, as the table `family_set`; which one is used is decided at run time.
fn kernels(x86: bool, family: &str, set: &str, flags: &[&str]) {
    let mut build = cpp(x86);
    for flag in flags {
        build.flag(flag);
    }
    build
        .opt_level(3)
        // A note that vectors are passed otherwise than long ago; ours are all passed within one file.
        .flag_if_supported("-Wno-psabi")
        .define("CONVOY_KERNELS", format!("{family}_{set}").as_str())
        .file(format!("shim/{family}_kernels.cpp"))
        .compile(&format!("convoy_{family}_{set}"));
}

fn cpp(x86: bool) -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(false);
    if x86 {
        build.define("CONVOY_X86", None);
    }
    build
}
