//! The lines of a batch's answer, in the form in which a gateway writes them: number, status, and what is said of a duplicate.
//! Anything else is no answer of a gateway.

use crate::answer::Dedup;

/// The answer to one record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line of the record in its request, from 1.
    pub number: u32,
    /// Its status.
    pub status: u16,
    /// What it says of a duplicate.
    pub dedup: Dedup,
}

/// What an answer says of each record of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// The same of all: there is one, or all were refused together.
    All(Line),
    /// Line by line.
    Each(Vec<Line>),
}

impl Lines {
    pub(crate) fn of_all(status: u16, dedup: Dedup) -> Lines {
        let number = 1;
        Lines::All(Line {
            number,
            status,
            dedup,
        })
    }

    /// Those of a batch of so many records; none where it is no answer to that.
    pub(crate) fn of_batch(body: &[u8], records_count: u64) -> Option<Lines> {
        let lines = read(body)?;
        let numbers = lines.iter().map(|it| u64::from(it.number));
        numbers.eq(1..=records_count).then_some(Lines::Each(lines))
    }

    /// That of a record, by its place in the request.
    pub(crate) fn of(&self, at: usize) -> Line {
        match self {
            Lines::All(line) => *line,
            Lines::Each(lines) => lines[at],
        }
    }
}

/// Reads all lines of a body; none where one of them is not what a gateway writes.
pub fn read(body: &[u8]) -> Option<Vec<Line>> {
    let text = std::str::from_utf8(body).ok()?;
    text.lines().map(line).collect()
}

/// Members stand in a fixed order without spaces, so that the first ones say it all.
fn line(text: &str) -> Option<Line> {
    let rest = text.strip_prefix(r#"{"line":"#)?;
    let (number, rest) = rest.split_once(r#","status":"#)?;
    let (status, rest) = rest.split_at_checked(3)?;
    let dedup = match rest.strip_prefix(r#","dedup":""#) {
        Some(rest) => Dedup::of_name(rest.split_once('"')?.0.as_bytes())?,
        None => Dedup::Absent,
    };
    Some(Line {
        number: number.parse().ok()?,
        status: status.parse().ok()?,
        dedup,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_what_stands_first_and_not_what_its_problem_says() {
        let body = concat!(
            r#"{"line":1,"status":200,"dedup":"miss","outcome":{"a":1}}"#,
            "\n",
            r#"{"line":3,"status":401,"problem":{"title":"x","status":200}}"#,
            "\n"
        );
        let line = |number, status, dedup| Line {
            number,
            status,
            dedup,
        };
        let expected = vec![line(1, 200, Dedup::Miss), line(3, 401, Dedup::Absent)];
        assert_eq!(read(body.as_bytes()), Some(expected));
        assert_eq!(read(b""), Some(Vec::new()));
    }

    #[test]
    fn what_no_gateway_writes_is_no_answer() {
        for body in [
            "{}",
            r#"{"line":1}"#,
            r#"{"line":x,"status":200}"#,
            r#"{"line":1,"status":20"#,
            r#"{"line":1,"status":200,"dedup":"new"}"#,
            "{\"line\":1,\"status\":200}\n\n{\"line\":2,\"status\":200}",
        ] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
        assert_eq!(read(b"{\"line\":1,\"status\":\xff00}"), None);
    }
}
