//! What `convoy bench` measures of Convoy: members that do one turn of work for each line on their standard input and
//! answer with one line of JSON on standard output.
//!
//! A member says where it listens, is told where the others do, says that it is ready, and then waits, blocked, for its
//! turns: `{"do": "..."}`. The end of its input ends it. The Python contenders speak the same (`cli/src/bench/protocol.py`).

mod allreduce;
mod arguments;
mod line;
mod ring;
mod train;

pub(crate) use arguments::BenchCommand;

/// Serves turns until the input ends.
///
/// # Errors
/// Whatever goes wrong; the last lines on standard error are what the conductor shows.
pub(crate) fn run(command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::BenchAllreduce(member) => allreduce::serve(member),
        BenchCommand::BenchTrain(arguments) => train::serve(arguments),
    }
}
