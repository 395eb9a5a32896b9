//! The formats of the page of statistics, and a number before its unit is known.

/// A text format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that a client wants more, by the qualities that it gives to the media types of both.
    pub fn preferred(quality: impl Fn(&str) -> Option<u16>) -> Format {
        let open_metrics = quality("application/openmetrics-text").unwrap_or(0);
        let plain = quality("text/plain").unwrap_or(0);
        match open_metrics > 0 && open_metrics >= plain {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A sample before its unit is known: a count, or microseconds where the unit is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);
