//! The live screen: draws, waits for keys and for the next reading, and leaves the terminal as it was, however it ends — by a
//! key, a signal, a failure or a panic.

use super::keys::{AfterKey, Choice, Motion};
use super::rates::{Meter, View};
use super::source::Source;
use super::table::{self, Kind, Line};
use crate::CommandResult;
use crate::args::time_text;
use crate::exit::{Exit, Failure};
use crate::fault;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// A signal is noticed within this time.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether the terminal is ours. A panic may come at any time and must not write to a terminal that is not.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Runs until the user leaves.
pub(super) fn run(mut source: Source, interval: Duration) -> CommandResult {
    // Refusals are printed on the usual screen, where they stay.
    let mut meter = Meter::default();
    let mut said = None;
    let mut view = meter.take(source.read()?);
    let ended = ended_by_signal().map_err(|error| Failure::output(&error))?;
    let screen = Screen::take().map_err(|error| Failure::output(&error))?;
    let mut choice = Choice::starting(interval);
    let mut read_at = Instant::now();
    loop {
        let lines = content(&source.name(), view.as_ref(), &choice, said.as_deref());
        draw(&lines).map_err(|error| Failure::output(&error))?;
        let due = match choice.motion {
            Motion::Running => Some(read_at + choice.interval),
            Motion::Paused => None,
        };
        match wait(due, &ended, &mut choice).map_err(|error| Failure::output(&error))? {
            Wake::Leave => break,
            Wake::Redraw => {}
            Wake::Due => {
                read_at = Instant::now();
                // A gateway that restarts comes back; until then the last view stays, and the reason above it.
                match source.read() {
                    Ok(reading) => (view, said) = (meter.take(reading), None),
                    Err(failure) => said = Some(failure.text().to_owned()),
                }
            }
        }
    }
    drop(screen);
    Ok(Exit::Yes)
}

/// Why waiting ended.
enum Wake {
    Due,
    Redraw,
    Leave,
}

fn wait(due: Option<Instant>, ended: &AtomicBool, choice: &mut Choice) -> io::Result<Wake> {
    loop {
        if ended.load(Ordering::Relaxed) {
            return Ok(Wake::Leave);
        }
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(Wake::Due);
        }
        let slice = left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
        if !event::poll(slice)? {
            continue;
        }
        match choice.press(&event::read()?) {
            AfterKey::Leave => return Ok(Wake::Leave),
            AfterKey::Redraw => return Ok(Wake::Redraw),
            AfterKey::Stay => {}
        }
    }
}

/// Becomes true when a signal asks this process to end.
fn ended_by_signal() -> io::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let inside = runtime.enter();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(inside);
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    std::thread::Builder::new().spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    })?;
    Ok(ended)
}

/// All lines of the screen.
fn content(source: &str, view: Option<&View>, choice: &Choice, said: Option<&str>) -> Vec<Line> {
    let plain = |text: String| Line {
        text,
        kind: Kind::Plain,
    };
    let motion = match choice.motion {
        Motion::Running => "",
        Motion::Paused => "  PAUSED",
    };
    let (every, by) = (time_text(choice.interval), choice.sort.column());
    let mut lines = vec![
        plain(format!("flk top  {source}  every {every}  by {by}{motion}")),
        plain("q quit  p pause  s sort  r reverse  +/- interval".to_owned()),
    ];
    if let Some(why) = said {
        lines.push(Line {
            text: why.to_owned(),
            kind: Kind::Alarm,
        });
    }
    lines.push(plain(String::new()));
    match view {
        Some(view) => lines.extend(table::lines(view, choice.sort)),
        None => lines.push(plain("measuring".to_owned())),
    }
    lines
}

/// Lines that fit, each cut to the width.
fn fitting(lines: &[Line], columns: usize, rows: usize) -> Vec<Line> {
    let cut = |line: &Line| Line {
        text: line.text.chars().take(columns).collect(),
        kind: line.kind,
    };
    let mut shown: Vec<Line> = lines.iter().take(rows).map(cut).collect();
    let hidden = lines.len().saturating_sub(rows);
    if let Some(last) = shown.last_mut().filter(|_| hidden > 0) {
        last.text = format!("{} more lines", hidden + 1)
            .chars()
            .take(columns)
            .collect();
        last.kind = Kind::Plain;
    }
    shown
}

fn draw(lines: &[Line]) -> io::Result<()> {
    let has_colours = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let (columns, rows) = size()?;
    let mut out = io::stdout().lock();
    let shown = fitting(lines, usize::from(columns), usize::from(rows));
    for (row, line) in (0_u16..).zip(&shown) {
        let attribute = match line.kind {
            Kind::Plain => None,
            Kind::Heading => Some(Attribute::Bold),
            Kind::Alarm => Some(Attribute::Reverse),
        };
        queue!(out, MoveTo(0, row))?;
        match attribute.filter(|_| has_colours) {
            Some(it) => {
                queue!(out, SetAttribute(it))?;
                write!(out, "{}", line.text)?;
                queue!(out, SetAttribute(Attribute::Reset))?;
            }
            None => write!(out, "{}", line.text)?,
        }
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    queue!(out, MoveTo(0, shown.len().min(usize::from(rows)) as u16))?;
    if shown.len() < usize::from(rows) {
        queue!(out, Clear(ClearType::FromCursorDown))?;
    }
    out.flush()
}

/// The terminal while it is ours; given back when dropped.
struct Screen;

impl Screen {
    fn take() -> io::Result<Self> {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // First, so that the message is on the screen that stays. A release build aborts after this hook.
            give_back();
            usual(panic);
        }));
        TAKEN.store(true, Ordering::Relaxed);
        let screen = Self;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        // Both are tried; a terminal that is gone needs neither.
        let left = execute!(io::stdout(), LeaveAlternateScreen, Show);
        if let Err(error) = disable_raw_mode().and(left) {
            eprintln!("flk: cannot give back the terminal: {}", fault::why(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::keys::Motion;

    fn choice() -> Choice {
        Choice::starting(Duration::from_secs(1))
    }

    #[test]
    fn before_the_second_reading_the_screen_says_that_it_measures() {
        let lines = content("data/wal", None, &choice(), None);
        assert_eq!(
            lines[0].text,
            "flk top  data/wal  every 1s  by requests_per_s"
        );
        assert_eq!(lines.last().unwrap().text, "measuring");
        let paused = Choice {
            motion: Motion::Paused,
            ..choice()
        };
        let lines = content("data/wal", None, &paused, Some("no gateway"));
        assert!(lines[0].text.ends_with("PAUSED"));
        assert_eq!(
            (lines[2].text.as_str(), lines[2].kind),
            ("no gateway", Kind::Alarm)
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        let line = |text: &str| Line {
            text: text.to_owned(),
            kind: Kind::Heading,
        };
        let lines = [line("abcdef"), line("b"), line("c"), line("d")];
        let texts = |columns, rows| {
            let shown = fitting(&lines, columns, rows);
            shown.into_iter().map(|it| it.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(3, 4), ["abc", "b", "c", "d"]);
        assert_eq!(texts(20, 3), ["abcdef", "b", "2 more lines"]);
        assert_eq!(texts(20, 0), [""; 0]);
    }
}
