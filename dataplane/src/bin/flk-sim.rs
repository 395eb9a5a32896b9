//! The simulator's command line: one seed to be read, thousands to find something, or planted bugs to be found.
//! All it does is to hand its arguments to [`flk_dataplane::sim::runner`].

fn main() -> std::process::ExitCode {
    flk_dataplane::sim::runner::main(std::env::args().skip(1).collect())
}
