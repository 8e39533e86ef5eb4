//! Lets this package's binary and tests find libtorch.

fn main() {
    if let Some(lib) = std::env::var_os("DEP_CONVOY_TORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
