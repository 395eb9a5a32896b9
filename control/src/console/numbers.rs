//! Numbers and rows as JSON, written straight into text: an answer may have a million numbers. What is missing is `null`.

use super::history::Rows;
use std::fmt::Write;

/// Whole numbers below this are exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends a number.
pub fn number(value: f64, out: &mut String) {
    let _ = match value {
        _ if !value.is_finite() => out.write_str("null"),
        // Without the point that a double has otherwise.
        _ if value.fract() == 0.0 && value.abs() < EXACT_MAX => write!(out, "{}", value as i64),
        _ => write!(out, "{value:?}"),
    };
}

/// Appends `[1,null,2.5]`.
pub fn list(values: impl IntoIterator<Item = f64>, out: &mut String) {
    out.push('[');
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        number(value, out);
    }
    out.push(']');
}

/// Appends `[0,7]`.
pub fn ids(ids: &[usize], out: &mut String) {
    let _ = write!(out, "{ids:?}");
}

/// Rows as an object.
pub fn rows(rows: &Rows) -> String {
    let mut out = String::new();
    let Rows {
        epoch, step, t0_ms, ..
    } = rows;
    let (step_s, first) = (step.seconds(), rows.slice.from);
    let _ = write!(
        out,
        "{{\"epoch\":\"{epoch}\",\"step_s\":{step_s},\"first\":{first},\"t0_ms\":{t0_ms},\"series\":"
    );
    ids(&rows.ids, &mut out);
    out.push_str(",\"columns\":[");
    for (at, column) in rows.columns().into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        list(column, &mut out);
    }
    out.push_str("]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_have_no_point_and_what_is_missing_is_null() {
        let mut out = String::new();
        let values = [7.0, -0.0, 0.25, f64::NAN, f64::INFINITY, 1e300, 1e-7, 9e15];
        list(values, &mut out);
        assert_eq!(out, "[7,0,0.25,null,null,1e300,1e-7,9000000000000000]");
    }

    proptest! {
        #[test]
        fn numbers_read_back_as_they_were(value in prop::num::f64::NORMAL | prop::num::f64::ZERO) {
            let mut out = String::new();
            number(value, &mut out);
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            prop_assert_eq!(read.as_f64().unwrap(), value);
        }
    }
}
