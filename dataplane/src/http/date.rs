//! The `Date` header, formatted only when the second of the wall clock changes. It reads no clock.

/// Bytes of `Date: Sun, 06 Nov 1994 08:49:37 GMT` and its CRLF.
const LINE_BYTES: usize = 37;

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// The last second of the year 9999: the format has four digits for the year.
const SECOND_MAX: u64 = 253_402_300_799;

/// The header line of one second (RFC 9110, 5.6.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Date {
    second: u64,
    line: [u8; LINE_BYTES],
}

impl Date {
    /// The line of a second since the Unix epoch.
    #[must_use]
    pub fn at(second: u64) -> Date {
        let mut date = Date {
            second,
            line: *b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        };
        date.format();
        date
    }

    /// Moves to another second.
    pub fn set(&mut self, second: u64) {
        if self.second != second {
            self.second = second;
            self.format();
        }
    }

    /// Its second since the Unix epoch.
    #[must_use]
    pub fn second(&self) -> u64 {
        self.second
    }

    /// The header line with its CRLF.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    fn format(&mut self) {
        let second = self.second.min(SECOND_MAX);
        let (days, time) = (second / 86_400, second % 86_400);
        let (year, month, day) = civil(days);
        let line = &mut self.line;
        line[6..9].copy_from_slice(DAYS[(days % 7) as usize]);
        two_digits(&mut line[11..13], day);
        line[14..17].copy_from_slice(MONTHS[month as usize - 1]);
        two_digits(&mut line[18..20], year / 100);
        two_digits(&mut line[20..22], year % 100);
        two_digits(&mut line[23..25], time / 3600);
        two_digits(&mut line[26..28], time / 60 % 60);
        two_digits(&mut line[29..31], time % 60);
    }
}

fn two_digits(out: &mut [u8], value: u64) {
    out[0] = b'0' + (value / 10) as u8;
    out[1] = b'0' + (value % 10) as u8;
}

/// Year, month and day (both from 1) of a number of days since 1970-01-01. The calculation starts years in March, so that
/// the leap day is the last day of a year; 400 years have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = match month_from_march {
        0..10 => month_from_march + 3,
        _ => month_from_march - 9,
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_the_line_of_the_standard() {
        for (second, expect) in [
            (0, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
            (784_111_777, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            (951_782_400, "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n"),
            (4_107_542_399, "Date: Sun, 28 Feb 2100 23:59:59 GMT\r\n"),
            (SECOND_MAX, "Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"),
            (u64::MAX, "Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"),
        ] {
            assert_eq!(Date::at(second).line(), expect.as_bytes(), "{second}");
            let mut moved = Date::at(1);
            moved.set(second);
            assert_eq!(moved.line(), expect.as_bytes(), "{second}");
        }
    }

    #[test]
    fn every_day_of_a_thousand_years_equals_the_calendar_counted_day_by_day() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..365_250 {
            assert_eq!(civil(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
