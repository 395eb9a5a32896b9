//! The rules of JSON: one value per body, RFC 8259, UTF-8, bounded depth and members, no duplicate key in an object. It
//! works on the tape of simd-json; the depth is checked before anything recurses. It knows no field of the record.

use simd_json::{Buffers, ErrorType, Node, Tape};

use super::malformed::{Malformed, MalformedCode};

/// Deepest nesting of arrays and objects, the outermost included.
pub const DEPTH_MAX: usize = 32;
/// Most members of one object.
pub const MEMBERS_COUNT_MAX: usize = 1024;
/// Up to this many members, short marks of the keys are compared pairwise; above it the texts are sorted.
const PAIRS_COUNT_MAX: usize = 24;
/// Initial capacity, enough for usual bodies.
const BODY_BYTES_USUAL: usize = 4096;

/// Reads bodies with reused buffers.
pub(super) struct Reader {
    body: Vec<u8>,
    buffers: Buffers,
    /// Empty between two bodies; only its memory is kept.
    tape: Vec<Node<'static>>,
    keys: Vec<u32>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            body: Vec::with_capacity(BODY_BYTES_USUAL),
            buffers: Buffers::with_max_depth(BODY_BYTES_USUAL, DEPTH_MAX),
            tape: Vec::with_capacity(BODY_BYTES_USUAL / 8),
            keys: Vec::with_capacity(MEMBERS_COUNT_MAX),
        }
    }
}

impl Reader {
    /// The largest body that fits without growing; the other buffers grow with it.
    pub(super) fn room_bytes(&self) -> usize {
        self.body.capacity()
    }

    /// Parses `body`, checks the rules of this file and passes the tape to `then`.
    pub(super) fn read<'p, T: 'p>(
        &'p mut self,
        body: &[u8],
        then: impl FnOnce(&[Node<'p>]) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        self.body.clear();
        self.body.extend_from_slice(body);
        let mut tape: Tape<'p> = Tape(std::mem::take(&mut self.tape)).reset();
        let result = match simd_json::fill_tape(&mut self.body, &mut self.buffers, &mut tape) {
            Ok(()) => unique_keys(&tape.0, &mut self.keys).and_then(|()| then(&tape.0)),
            Err(error) => Err(Malformed::json(code(error.error()))),
        };
        self.tape = tape.reset().0;
        result
    }
}

fn code(error: &ErrorType) -> MalformedCode {
    match error {
        ErrorType::DepthLimitExceeded => MalformedCode::TooDeep,
        _ => MalformedCode::NotJson,
    }
}

/// The number of nodes of the first value of `tape`.
pub(super) fn nodes_count(tape: &[Node<'_>]) -> usize {
    match tape.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        Some(_) => 1,
        None => 0,
    }
}

/// The members of an object: key and the tape from its value on.
#[derive(Clone)]
pub(super) struct Members<'t, 'i> {
    tape: &'t [Node<'i>],
}

impl<'t, 'i> Members<'t, 'i> {
    /// `tape` starts with the object.
    pub(super) fn of(tape: &'t [Node<'i>]) -> Option<Self> {
        match tape.split_first() {
            Some((Node::Object { count, .. }, rest)) => Some(Self {
                tape: rest.get(..*count)?,
            }),
            _ => None,
        }
    }
}

impl<'t, 'i> Iterator for Members<'t, 'i> {
    type Item = (&'i str, &'t [Node<'i>]);

    fn next(&mut self) -> Option<Self::Item> {
        let (Node::String(key), values) = self.tape.split_first()? else {
            return None;
        };
        let (value, rest) = values.split_at_checked(nodes_count(values))?;
        self.tape = rest;
        Some((key, value))
    }
}

/// The elements of an array, each as the tape of its value.
pub(super) struct Elements<'t, 'i> {
    tape: &'t [Node<'i>],
}

impl<'t, 'i> Elements<'t, 'i> {
    /// `tape` starts with the array.
    pub(super) fn of(tape: &'t [Node<'i>]) -> Option<Self> {
        match tape.split_first() {
            Some((Node::Array { count, .. }, rest)) => Some(Self {
                tape: rest.get(..*count)?,
            }),
            _ => None,
        }
    }
}

impl<'t, 'i> Iterator for Elements<'t, 'i> {
    type Item = &'t [Node<'i>];

    fn next(&mut self) -> Option<Self::Item> {
        let count = nodes_count(self.tape);
        if count == 0 {
            return None;
        }
        let (value, rest) = self.tape.split_at_checked(count)?;
        self.tape = rest;
        Some(value)
    }
}

/// Checks every object on the tape. One pass finds all, because nested objects follow their parents.
fn unique_keys(tape: &[Node<'_>], keys: &mut Vec<u32>) -> Result<(), Malformed> {
    for (at, node) in tape.iter().enumerate() {
        if let Node::Object { len, .. } = node {
            if *len > MEMBERS_COUNT_MAX {
                return Err(Malformed::json(MalformedCode::TooManyMembers));
            }
            if has_duplicate(tape, at, *len, keys) {
                return Err(Malformed::json(MalformedCode::DuplicateKey));
            }
        }
    }
    Ok(())
}

/// Checks the object that starts at `at`.
fn has_duplicate(tape: &[Node<'_>], at: usize, members_count: usize, keys: &mut Vec<u32>) -> bool {
    let Some(mut members) = tape.get(at..).and_then(Members::of) else {
        return false;
    };
    if members_count <= PAIRS_COUNT_MAX {
        let mut marks = [0; PAIRS_COUNT_MAX];
        let mut alike = false;
        for (count, (text, _)) in (0..PAIRS_COUNT_MAX).zip(members.clone()) {
            let mark = mark(text);
            // no early exit, so that the compiler can compare many at a time
            alike |= marks[..count]
                .iter()
                .fold(false, |any, m| any | (*m == mark));
            marks[count] = mark;
        }
        if !alike {
            return false;
        }
    }
    let text = |key: u32| match tape.get(key as usize) {
        Some(Node::String(text)) => *text,
        _ => "",
    };
    let end = at + 1 + members.tape.len();
    keys.clear();
    loop {
        let position = end - members.tape.len();
        if members.next().is_none() {
            break;
        }
        keys.push(position as u32);
    }
    keys.sort_unstable_by(|&a, &b| text(a).cmp(text(b)));
    keys.windows(2).any(|pair| text(pair[0]) == text(pair[1]))
}

/// Equal for equal texts, and different for those of the record.
fn mark(text: &str) -> u32 {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.get(bytes.len() / 2), bytes.last()) {
        (Some(&first), Some(&middle), Some(&last)) => {
            u32::from_le_bytes([first, middle, last, bytes.len() as u8])
        }
        _ => 0,
    }
}
