//! What a client would like as an answer: the `Accept` fields of a head that is framed already. Only pages that have several
//! forms ask for it, so a record's path does not read them.

/// The quality that the `Accept` fields of a head give to a media type by its full name, in thousandths: the highest, if
/// several do; none, if none names it. The head is well-formed.
pub fn quality(head: &[u8], media_type: &str) -> Option<u16> {
    let lines = head.split(|&byte| byte == b'\n').skip(1);
    let fields = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(b"accept:".len())?;
        name.eq_ignore_ascii_case(b"accept:").then_some(value)
    });
    let ranges = fields.flat_map(|value| value.split(|&byte| byte == b','));
    let qualities = ranges.filter_map(|range| {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let named = parts.next()?.eq_ignore_ascii_case(media_type.as_bytes());
        named.then(|| parts.find_map(weight).unwrap_or(1000))
    });
    qualities.max()
}

/// A parameter `q=0.5`, in thousandths. One that is no such number wants nothing.
fn weight(parameter: &[u8]) -> Option<u16> {
    let (name, value) = parameter.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let value = std::str::from_utf8(value).ok().filter(|it| it.len() <= 5);
    let weight = value.and_then(|it| it.parse::<f32>().ok());
    let weight = weight.filter(|it| (0.0..=1.0).contains(it)).unwrap_or(0.0);
    Some((weight * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str) -> Option<u16> {
        let head = format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        quality(head.as_bytes(), "application/openmetrics-text")
    }

    #[test]
    fn the_highest_quality_of_all_fields_counts() {
        let prometheus = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n";
        assert_eq!(of(prometheus), Some(500));
        assert_eq!(of("accept:Application/OpenMetrics-Text\r\n"), Some(1000));
        assert_eq!(
            of("Accept: text/plain\r\nAccept: application/openmetrics-text ; Q=0.25\r\n"),
            Some(250)
        );
    }

    #[test]
    fn what_is_not_named_or_not_wanted_has_none() {
        for fields in [
            "",
            "Accept: */*\r\n",
            "Accept: text/plain\r\n",
            "Accept:\r\n",
            "X-Accept: application/openmetrics-text\r\n",
        ] {
            assert_eq!(of(fields), None, "{fields}");
        }
        for weight in ["0", "0.000", "2", "-1", "x", "", "NaN"] {
            let fields = format!("Accept: application/openmetrics-text;q={weight}\r\n");
            assert_eq!(of(&fields), Some(0), "{weight}");
        }
    }
}
