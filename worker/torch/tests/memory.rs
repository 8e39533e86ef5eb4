//! What freed memory costs when it is asked for again. A program of its own, so that no other test asks for memory meanwhile.

use tch::{Device, Kind, Tensor};

const PAGE_BYTES: u64 = 4_096;
const TENSOR_BYTES: u64 = 64 << 20;
const ROUNDS: u64 = 4;

fn main() {
    convoy_torch::check_library().expect("the pinned libtorch is loaded");
    // All pages are touched by the thread that counts.
    tch::set_num_threads(1);
    memory_that_was_freed_costs_no_pages_again();
    std::thread::spawn(memory_that_was_freed_costs_no_pages_again)
        .join()
        .expect("the same holds on other threads");
    println!("test result: ok. 2 passed; 0 failed");
}

fn memory_that_was_freed_costs_no_pages_again() {
    let elements = (TENSOR_BYTES / 4).cast_signed();
    let touch = || drop(Tensor::ones([elements], (Kind::Float, Device::Cpu)));
    touch();
    let before = page_faults();
    (0..ROUNDS).for_each(|_| touch());
    let faults = page_faults() - before;
    let pages = TENSOR_BYTES / PAGE_BYTES;
    assert!(
        faults < pages / 10,
        "{faults} page faults in {ROUNDS} rounds over {pages} pages"
    );
}

/// Pages that this thread touched for the first time: `minflt` of `proc_pid_stat(5)`.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("this is Linux");
    let after_name = stat
        .rsplit(')')
        .next()
        .expect("rsplit gives one part at least");
    let field = after_name.split_whitespace().nth(7);
    field
        .and_then(|field| field.parse().ok())
        .expect("the tenth field is a number")
}
