//! What a backup or a check of one came to, as a file of metrics for a collector that reads such files (the textfile collector of the
//! Prometheus node exporter). It is written only after success, so that its times grow old where there is none.

use crate::exit::{Exit, Failure};
use crate::fault;
use crate::whole_file::WholeFile;
use clap::Args;
use std::path::PathBuf;

/// Where metrics are written.
#[derive(Args, Debug)]
pub(crate) struct MetricsArgs {
    /// Write when this succeeded as metrics into a file, which a collector of the node reads (its name must end with .prom)
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

/// A metric without labels.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) value: f64,
}

impl MetricsArgs {
    /// Writes these, where that was asked for; the file is there whole or as it was.
    pub(crate) fn write(&self, samples: &[Sample]) -> Result<(), Failure> {
        let Some(path) = &self.metrics_file else {
            return Ok(());
        };
        // Others read it, although backups themselves are for their owner only.
        let file = WholeFile::beside(path).and_then(WholeFile::readable_by_all);
        let written = file.and_then(|file| file.keep(&page(samples)));
        written.map_err(|error| {
            let why = fault::why(&error);
            let path = path.display();
            Failure::with(
                Exit::File,
                format!("all else is done, but {path} cannot be written: {why}"),
            )
        })
    }
}

/// The moment in seconds since the Unix epoch.
pub(crate) fn seconds(wall_us: u64) -> f64 {
    wall_us as f64 / 1e6
}

fn page(samples: &[Sample]) -> String {
    let lines = |it: &Sample| {
        let Sample { name, help, value } = it;
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n")
    };
    samples.iter().map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_page_replaces_the_one_before_and_others_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flk.prom");
        let args = MetricsArgs {
            metrics_file: Some(path.clone()),
        };
        for value in [1.5, 2_000_000_000.25] {
            let sample = Sample {
                name: "flk_x",
                help: "An x.",
                value,
            };
            args.write(&[sample]).unwrap();
            let expected = format!("# HELP flk_x An x.\n# TYPE flk_x gauge\nflk_x {value}\n");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_and_none_asked_for_is_none() {
        let args = MetricsArgs {
            metrics_file: Some("/proc/none/flk.prom".into()),
        };
        let failure = args.write(&[]).unwrap_err();
        assert_eq!(failure.exit(), Exit::File);
        assert!(
            failure.text().contains("/proc/none/flk.prom"),
            "{}",
            failure.text()
        );
        MetricsArgs { metrics_file: None }.write(&[]).unwrap();
    }
}
