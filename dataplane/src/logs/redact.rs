//! Takes e-mail addresses, phone numbers and age identities out of a text: they get into log lines by names of files, tenants,
//! keys and operators, by values in the wrong place, and by errors of the system. It reads a text once for each kind and
//! allocates only if it finds something.
//!
//! An address is `local@domain` whose last label is of letters, or `local@localhost`. A phone number is written as people write
//! them: `+` and 8 to 15 digits; three, three and four digits with signs between them; or groups of digits of which the first
//! begins with 0, in brackets or not. Bare digits are never one, so that counts, sizes, ports, times, digests and numbers of
//! segments stay as they are.

use std::borrow::Cow;

/// A longer label is in no domain (RFC 1035, in UTF-8 of other alphabets).
const LABEL_BYTES_MAX: usize = 252;

/// What stands for an address.
const EMAIL: &str = "[email]";
/// What stands for a number.
const PHONE: &str = "[phone]";

/// What stands for an age identity.
const IDENTITY: &str = "[age identity]";
/// How each begins, of every kind; the case does not matter.
const IDENTITY_START: &str = "AGE-SECRET-KEY-";
/// None is as short: the words of a message that says how identities look.
const IDENTITY_BYTES_LEAST: usize = IDENTITY_START.len() + 8;

/// The one domain of a single label that mail is sent to.
const LOCALHOST: &str = "localhost";

/// Names of systemd such as `user@1000.service` are no addresses.
const UNITS: [&str; 11] = [
    "automount",
    "device",
    "mount",
    "path",
    "scope",
    "service",
    "slice",
    "socket",
    "swap",
    "target",
    "timer",
];

/// The text without age identities, e-mail addresses and phone numbers.
pub fn redact(text: &str) -> Cow<'_, str> {
    let text = replace(without_identities(text), EMAIL, next_email);
    replace(text, PHONE, next_phone)
}

/// The text without age identities, for texts that only the operator sees.
pub fn without_identities(text: &str) -> Cow<'_, str> {
    replace(Cow::Borrowed(text), IDENTITY, next_identity)
}

/// Whether an age identity is in a text.
pub fn holds_identity(text: &str) -> bool {
    next_identity(text, 0).is_some()
}

/// Puts a word in the place of each part that is found from a place on.
fn replace<'a>(
    text: Cow<'a, str>,
    word: &str,
    next: impl Fn(&str, usize) -> Option<(usize, usize)>,
) -> Cow<'a, str> {
    let Some(mut found) = next(&text, 0) else {
        return text;
    };
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    loop {
        let (start, end) = found;
        replaced.push_str(&text[from..start]);
        replaced.push_str(word);
        from = end;
        match next(&text, from) {
            Some(next) => found = next,
            None => break,
        }
    }
    replaced.push_str(&text[from..]);
    Cow::Owned(replaced)
}

/// The first identity from here on.
fn next_identity(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let is_start = |at: &usize| {
        let start = bytes.get(*at..at + IDENTITY_START.len());
        start.is_some_and(|it| it.eq_ignore_ascii_case(IDENTITY_START.as_bytes()))
    };
    let starts = (from..bytes.len()).filter(is_start).map(|start| {
        let token = bytes[start..].iter();
        let length = token.take_while(|it| it.is_ascii_alphanumeric() || **it == b'-');
        (start, start + length.count())
    });
    let mut long = starts.filter(|(start, end)| end - start >= IDENTITY_BYTES_LEAST);
    long.next()
}

/// The first address from here on.
fn next_email(text: &str, from: usize) -> Option<(usize, usize)> {
    let ats = text[from..].match_indices('@');
    ats.map(|(at, _)| from + at).find_map(|at| {
        let local = text[from..at].chars().rev().take_while(|it| is_local(*it));
        let local_bytes: usize = local.map(char::len_utf8).sum();
        let domain_bytes = domain_bytes(&text[at + 1..])?;
        (local_bytes > 0).then_some((at - local_bytes, at + 1 + domain_bytes))
    })
}

fn is_local(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '_' | '%' | '+' | '-')
}

/// The length of the longest domain that a text begins with: labels with points between them, the last of two letters or more, or
/// in the encoding of other alphabets, and no letter or digit behind it.
fn domain_bytes(text: &str) -> Option<usize> {
    let (mut label_start, mut labels_count) = (0, 0);
    let mut longest = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        if character.is_alphanumeric() {
            continue;
        }
        let label = &text[label_start..at];
        if label.len() > LABEL_BYTES_MAX {
            break;
        }
        let is_top = match label.strip_prefix("xn--") {
            Some(encoded) => !encoded.is_empty() && character != '-',
            None => label.chars().nth(1).is_some() && label.chars().all(char::is_alphabetic),
        };
        let is_here = labels_count == 0
            && label.eq_ignore_ascii_case(LOCALHOST)
            // `a@localhost.service` is a unit.
            && !(character == '.' && text[at + 1..].starts_with(char::is_alphanumeric));
        let is_elsewhere = is_top && labels_count > 0;
        if is_here || (is_elsewhere && !(labels_count == 1 && UNITS.contains(&label))) {
            longest = Some(at);
        }
        match character {
            '-' => {}
            '.' if !label.is_empty() => {
                labels_count += 1;
                label_start = at + 1;
            }
            _ => break,
        }
    }
    longest
}

/// The first phone number from here on.
fn next_phone(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let is_start = |at: &usize| match bytes[*at] {
        b'+' | b'(' => true,
        byte => byte.is_ascii_digit() && !is_alphanumeric_before(bytes, *at),
    };
    let mut starts = (from..bytes.len()).filter(is_start);
    starts.find_map(|at| {
        let end = match bytes[at] {
            b'+' => international_end(bytes, at),
            b'(' => bracketed_end(bytes, at),
            _ => Chain::at(bytes, at).and_then(|chain| chain.phone_end(bytes)),
        };
        end.map(|end| (at, end))
    })
}

fn is_alphanumeric_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || !bytes[at - 1].is_ascii())
}

/// Whether a number may end here: no letter or digit is next, nor the rest of an address, a time or a longer number.
fn may_end(bytes: &[u8], end: usize) -> bool {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    match bytes.get(end) {
        None => true,
        Some(b'.' | b':' | b',' | b'/') => !digit(end + 1),
        Some(byte) => !byte.is_ascii_alphanumeric() && byte.is_ascii(),
    }
}

fn digits_end(bytes: &[u8], from: usize) -> usize {
    let digits = bytes[from..].iter().take_while(|it| it.is_ascii_digit());
    from + digits.count()
}

/// Longest number of the world.
const DIGITS_MAX: usize = 15;
/// With so many digits a number is whole: a count behind it is none of its groups.
const DIGITS_ENOUGH: usize = 11;

/// The end of `+49 170 1234567`, `+1 (555) 123-4567` and their like.
fn international_end(bytes: &[u8], plus: usize) -> Option<usize> {
    let is_first = matches!(bytes.get(plus + 1), Some(b'1'..=b'9'));
    if !is_first || is_alphanumeric_before(bytes, plus) {
        return None;
    }
    let (mut digits, mut at, mut longest) = (0, plus + 1, None);
    loop {
        // The group may be longer than any number; no more of it is read than that.
        let bound = bytes.len().min(at + DIGITS_MAX + 1);
        let end = digits_end(&bytes[..bound], at);
        digits += end - at;
        if end == at || digits > DIGITS_MAX {
            return longest;
        }
        let closed = end + usize::from(bytes.get(end) == Some(&b')'));
        if digits >= 8 && may_end(bytes, closed) {
            longest = Some(end);
        }
        if digits >= DIGITS_ENOUGH {
            return longest;
        }
        let mut next = closed;
        next += usize::from(matches!(bytes.get(next), Some(b' ' | b'-' | b'.')));
        next += usize::from(bytes.get(next) == Some(&b'('));
        if next == end {
            return longest;
        }
        at = next;
    }
}

/// The end of `(555) 123-4567`, or of `(0170) 1234567`.
fn bracketed_end(bytes: &[u8], bracket: usize) -> Option<usize> {
    let start = bracket + 1;
    let area_end = digits_end(
        &bytes[..bytes.len().min(start + AREA_DIGITS_MAX + 1)],
        start,
    );
    if bytes.get(area_end) != Some(&b')') {
        return None;
    }
    let gap = usize::from(matches!(bytes.get(area_end + 1), Some(b' ' | b'-')));
    let rest = area_end + 1 + gap;
    let american = || {
        let chain = Chain::at(bytes, rest)?;
        (chain.lengths() == [3, 4] && may_end(bytes, chain.end)).then_some(chain.end)
    };
    match &bytes[start..area_end] {
        area @ [b'0', b'1'..=b'9', ..] if area.len() <= AREA_DIGITS_MAX => {
            subscriber_end(bytes, area.len(), rest).max((area.len() == 3).then(american).flatten())
        }
        [_, _, _] => american(),
        _ => None,
    }
}

/// Digits of the longest area code of a country, with its 0.
const AREA_DIGITS_MAX: usize = 5;
/// Digits of a number within a country, with its 0.
const NATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 9..=12;

/// The end of the groups behind an area code of so many digits: each of two digits or more, with the same sign between them.
fn subscriber_end(bytes: &[u8], area_digits: usize, from: usize) -> Option<usize> {
    let (mut digits, mut at, mut sign, mut longest) = (area_digits, from, None, None);
    loop {
        // The group may be longer than any number; no more of it is read than that.
        let end = digits_end(&bytes[..bytes.len().min(at + DIGITS_MAX)], at);
        digits += end - at;
        if end < at + 2 || digits > *NATIONAL_DIGITS.end() {
            return longest;
        }
        // A date is no part of one.
        let goes_on = digits < DIGITS_ENOUGH
            && bytes.get(end) == Some(&b'-')
            && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if NATIONAL_DIGITS.contains(&digits) && may_end(bytes, end) && !goes_on {
            longest = Some(end);
        }
        match bytes.get(end) {
            Some(next @ (b' ' | b'-'))
                if digits < DIGITS_ENOUGH && sign.is_none_or(|it| it == next) =>
            {
                (sign, at) = (Some(next), end + 1);
            }
            _ => return longest,
        }
    }
}

/// More groups than any number has.
const GROUPS_MAX: usize = 8;

/// Groups of digits with the same sign between them.
struct Chain {
    start: usize,
    end: usize,
    sign: u8,
    lengths: [usize; GROUPS_MAX],
    groups_count: usize,
}

impl Chain {
    /// The chain that begins here; none if it began earlier, has one group, or more than any number.
    fn at(bytes: &[u8], start: usize) -> Option<Chain> {
        // So many digits of a group are read; a group of that length is in no number.
        let group_end = |at: usize| digits_end(&bytes[..bytes.len().min(at + DIGITS_MAX)], at);
        let first_end = group_end(start);
        let sign = *bytes.get(first_end)?;
        if first_end == start || !matches!(sign, b' ' | b'-' | b'.') {
            return None;
        }
        let before = start.checked_sub(1).map(|at| bytes[at]);
        if before == Some(sign) && start > 1 && bytes[start - 2].is_ascii_digit() {
            return None;
        }
        let mut chain = Chain {
            start,
            end: first_end,
            sign,
            lengths: [0; GROUPS_MAX],
            groups_count: 1,
        };
        chain.lengths[0] = first_end - start;
        while bytes.get(chain.end) == Some(&sign) {
            let end = group_end(chain.end + 1);
            if end == chain.end + 1 {
                break;
            }
            *chain.lengths.get_mut(chain.groups_count)? = end - chain.end - 1;
            chain.groups_count += 1;
            chain.end = end;
        }
        (chain.groups_count > 1).then_some(chain)
    }

    fn lengths(&self) -> &[usize] {
        &self.lengths[..self.groups_count]
    }

    /// Its end, if all of it is a phone number.
    fn phone_end(&self, bytes: &[u8]) -> Option<usize> {
        let lengths = self.lengths();
        let is_american = match lengths {
            [3, 3, 4] => true,
            [1, 3, 3, 4] => bytes[self.start] == b'1',
            _ => false,
        };
        let is_phone = is_american || (self.sign != b'.' && self.has_trunk_prefix(bytes));
        (is_phone && may_end(bytes, self.end)).then_some(self.end)
    }

    /// Whether it is dialled with a 0 within a country, or with 00 from abroad.
    fn has_trunk_prefix(&self, bytes: &[u8]) -> bool {
        let lengths = self.lengths();
        let digits: usize = lengths.iter().sum();
        let are_groups = lengths.iter().all(|&length| length > 1);
        let first = &bytes[self.start..self.start + lengths[0]];
        are_groups
            && match first {
                [b'0', b'1'..=b'9', rest @ ..] => {
                    rest.len() <= 3 && (9..=11).contains(&digits) && lengths.len() <= 5
                }
                [b'0', b'0', b'1'..=b'9', rest @ ..] => {
                    rest.len() <= 3 && (10..=17).contains(&digits)
                }
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests;
