//! What a user could run instead of the gateway: hyper on tokio, with the records in a file, PostgreSQL, Redis or NATS. It exists to
//! be measured beside the gateway; it has no limits, no sandbox and no metrics, and must not be exposed to anybody.

mod batcher;
mod judge;
mod options;
mod serve;
mod store;

use std::io;
use std::process::ExitCode;

use judge::Judge;
use options::Options;
use store::Store;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flk-peer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let options = Options::from_arguments(std::env::args().skip(1)).map_err(io::Error::other)?;
    let key = std::env::var("PCS_HMAC_KEY").unwrap_or_default();
    let judge =
        Judge::new(&key).map_err(|error| io::Error::other(format!("PCS_HMAC_KEY: {error:?}")))?;
    // One worker: the gateway beside it has one CPU, too.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(options.store, &options.at).await?;
        serve::serve(options.listen, judge, store).await
    })
}
