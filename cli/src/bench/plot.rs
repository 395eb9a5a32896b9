//! Plots as SVG: lines over axes that are linear, logarithmic, or those of percentiles. It knows nothing of runs.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 34.0;

/// How values are laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0 on.
    Linear,
    /// Each power of ten as long as the next.
    Logarithmic,
    /// Parts of 1: 90 %, 99 %, 99.9 % at equal steps.
    Percentiles,
}

/// An axis.
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) from: f64,
    pub(super) to: f64,
    /// The text of a value.
    pub(super) text: fn(f64) -> String,
}

impl Axis {
    /// An axis that has room for all these values.
    pub(super) fn over(
        scale: Scale,
        values: impl Iterator<Item = f64>,
        text: fn(f64) -> String,
    ) -> Axis {
        let values =
            values.filter(|it| it.is_finite() && (*it > 0.0 || scale != Scale::Logarithmic));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| {
            (low.min(it), high.max(it))
        });
        let (low, high) = match low <= high {
            true => (low, high),
            false => (1.0, 1.0),
        };
        let (from, to) = match scale {
            Scale::Linear => (0.0, if high > 0.0 { high * 1.05 } else { 1.0 }),
            Scale::Logarithmic => (decade(low, f64::floor), decade(high * 1.001, f64::ceil)),
            Scale::Percentiles => (0.0, high.max(0.9)),
        };
        Axis {
            scale,
            from,
            to,
            text,
        }
    }

    /// Where a value is, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let along = |it: f64| match self.scale {
            Scale::Linear => it,
            Scale::Logarithmic => it.max(f64::MIN_POSITIVE).log10(),
            Scale::Percentiles => -(1.0 - it).max(1e-9).log10(),
        };
        let (from, to) = (along(self.from), along(self.to));
        match to > from {
            true => ((along(value) - from) / (to - from)).clamp(0.0, 1.0),
            false => 0.0,
        }
    }

    /// Values that get a line and a text.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.to / 6.0);
                let count = (self.to / step).floor() as u32;
                (0..=count).map(|it| f64::from(it) * step).collect()
            }
            Scale::Logarithmic => {
                let (first, last) = (
                    self.from.log10().round() as i32,
                    self.to.log10().round() as i32,
                );
                (first..=last).map(|it| 10_f64.powi(it)).collect()
            }
            Scale::Percentiles => {
                let known = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
                let is_on = |it: &f64| *it <= self.to + 1e-9;
                known.into_iter().filter(is_on).collect()
            }
        }
    }
}

fn decade(value: f64, round: fn(f64) -> f64) -> f64 {
    10_f64.powf(round(value.log10()))
}

/// The next of 1, 2 and 5 times a power of ten.
fn step(least: f64) -> f64 {
    let power = decade(least, f64::floor);
    let steps = [1.0, 2.0, 5.0].map(|it| it * power);
    steps
        .into_iter()
        .find(|it| *it >= least)
        .unwrap_or(10.0 * power)
}

/// A line of a plot.
pub(super) struct Line {
    pub(super) name: String,
    /// Its colour, a class of the page.
    pub(super) class: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Text that cannot be taken for markup.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            it if it.is_control() => safe.push(' '),
            it => safe.push(it),
        }
    }
    safe
}

/// Lines over two axes.
pub(super) fn plot(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let title = escaped(title);
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><text class="title" x="{LEFT}" y="16">{title}</text>"#
    );
    let across = |value| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let down = |value| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in x.ticks() {
        let (at, text) = (across(tick), escaped(&(x.text)(tick)));
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom}"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{text}</text>"#,
            bottom + 18.0
        );
    }
    for tick in y.ticks() {
        let (at, text) = (down(tick), escaped(&(y.text)(tick)));
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
            LEFT - 6.0,
            at + 4.0
        );
    }
    let mut legend = right;
    for line in lines.iter().rev() {
        let points = line
            .points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite());
        let points: Vec<String> = points
            .map(|(x, y)| format!("{:.1},{:.1}", across(*x), down(*y)))
            .collect();
        let (class, name) = (line.class, escaped(&line.name));
        let _ = write!(
            svg,
            r#"<polyline class="{class}" points="{}"/><text class="{class}" x="{legend:.1}" y="16" text-anchor="end">{name}</text>"#,
            points.join(" ")
        );
        legend -= 7.5 * line.name.chars().count() as f64 + 16.0;
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        value.to_string()
    }

    #[test]
    fn axes_have_room_for_their_values_and_few_ticks() {
        let over = |scale, values: &[f64]| Axis::over(scale, values.iter().copied(), text);
        let linear = over(Scale::Linear, &[3.0, 95.0]);
        assert_eq!(linear.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert!(linear.place(95.0) < 1.0 && linear.place(0.0) == 0.0);
        let logarithmic = over(Scale::Logarithmic, &[0.3, 45.0]);
        assert_eq!((logarithmic.from, logarithmic.to), (0.1, 100.0));
        assert_eq!(logarithmic.ticks().len(), 4);
        assert!((logarithmic.place(1.0) - 1.0 / 3.0).abs() < 1e-9);
        let percentiles = over(Scale::Percentiles, &[0.0, 0.999]);
        assert_eq!(percentiles.ticks(), [0.0, 0.5, 0.9, 0.99, 0.999]);
        assert!((percentiles.place(0.9) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn no_value_and_values_that_are_none_make_a_plot_without_nonsense() {
        for scale in [Scale::Linear, Scale::Logarithmic, Scale::Percentiles] {
            for values in [&[][..], &[0.0], &[f64::NAN, f64::INFINITY], &[5.0, 5.0]] {
                let axis = || Axis::over(scale, values.iter().copied(), text);
                let points = values.iter().map(|it| (*it, *it)).collect();
                let line = Line {
                    name: "a".to_owned(),
                    class: "one",
                    points,
                };
                let svg = plot("t", &axis(), &axis(), &[line]);
                assert!(
                    !svg.contains("NaN") && !svg.contains("inf"),
                    "{scale:?} {values:?}: {svg}"
                );
            }
        }
    }

    #[test]
    fn hostile_names_are_text() {
        let line = Line {
            name: "</text><script>alert(1)</script>".to_owned(),
            class: "one",
            points: Vec::new(),
        };
        let axis = || Axis::over(Scale::Linear, [1.0].into_iter(), |_| "<b>&\"'".to_owned());
        let svg = plot("<img src=x onerror='a'>", &axis(), &axis(), &[line]);
        for part in ["<script", "<img", "<b>", "='a'"] {
            assert!(!svg.contains(part), "{part}: {svg}");
        }
        assert!(svg.contains("&lt;b&gt;&amp;&quot;&#39;"), "{svg}");
    }
}
