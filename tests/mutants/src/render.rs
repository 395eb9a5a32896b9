//! Writes a source with its mutants in it, each behind a question to the switch. Text is only inserted, so that mutants
//! within each other need no care: at most one is on, and its text is that of the original.

use crate::mutant::{Change, Mutant};
use std::ops::Range;

/// The name of the module that is added to each crate.
pub(crate) const SWITCH_MODULE: &str = "flk_mutant";

/// The source of that module.
pub(crate) const SWITCH: &str = include_str!("switch.rs.txt");

/// A source with mutants, and where in it each of them is.
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// By mutant: the bytes of the text that exist for it, and those that it takes the place of.
    pub(crate) places: Vec<Place>,
}

/// Where a mutant is in the rendered text.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) id: u32,
    pub(crate) own: Range<usize>,
    pub(crate) whole: Range<usize>,
}

struct Insertion<'m> {
    at: usize,
    /// At the same place: ends before starts; outer starts and inner ends first.
    order: (u8, i64, u32),
    mutant: &'m Mutant,
    text: String,
    opens: bool,
}

/// Puts the mutants of one file into its text.
pub(crate) fn render(text: &str, mutants: &[&Mutant]) -> Rendered {
    let mut insertions = Vec::new();
    for mutant in mutants {
        let (before, after) = around(mutant);
        let length = mutant.range.len() as i64;
        let insertion = |at, order, text, opens| Insertion {
            at,
            order,
            mutant,
            text,
            opens,
        };
        insertions.push(insertion(
            mutant.range.start,
            (1, -length, mutant.id),
            before,
            true,
        ));
        // Of two that span the same bytes the one that opened last closes first.
        let order = (0, length, u32::MAX - mutant.id);
        insertions.push(insertion(mutant.range.end, order, after, false));
    }
    insertions.sort_by_key(|it| (it.at, it.order));
    let mut rendered = Rendered {
        text: String::with_capacity(text.len() * 2),
        places: Vec::new(),
    };
    let mut copied = 0;
    for it in insertions {
        rendered.text += &text[copied..it.at];
        copied = it.at;
        let start = rendered.text.len();
        rendered.text += &it.text;
        let end = rendered.text.len();
        if it.opens {
            rendered.places.push(Place {
                id: it.mutant.id,
                own: start..end,
                whole: start..end,
            });
        } else if let Some(place) = rendered.places.iter_mut().find(|p| p.id == it.mutant.id) {
            place.whole.end = end;
        }
    }
    rendered.text += &text[copied..];
    rendered
}

/// What stands before and behind the bytes of a mutant.
fn around(mutant: &Mutant) -> (String, String) {
    let asks = format!("crate::{SWITCH_MODULE}::is({})", mutant.id);
    match &mutant.change {
        Change::Replace(after) => (
            format!("(if {asks} {{ {after} }} else {{ "),
            " })".to_owned(),
        ),
        Change::LeaveOut => (format!("if !{asks} {{ "), " }".to_owned()),
        Change::Return(value) => (format!(" if {asks} {{ return {value}; }} "), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(id: u32, range: Range<usize>, after: &str) -> Mutant {
        Mutant {
            range,
            change: Change::Replace(after.to_owned()),
            ..Mutant::of_test(id, "a.rs")
        }
    }

    #[test]
    fn mutants_within_each_other_close_in_the_order_in_which_they_opened() {
        let text = "a < 5 && b";
        let mutants = [
            mutant(0, 0..10, "a < 5 || b"),
            mutant(1, 0..5, "a <= 5"),
            mutant(2, 4..5, "6"),
        ];
        let rendered = render(text, &mutants.iter().collect::<Vec<_>>());
        assert_eq!(
            rendered.text,
            "(if crate::flk_mutant::is(0) { a < 5 || b } else { (if crate::flk_mutant::is(1) { a <= 5 } else { \
             a < (if crate::flk_mutant::is(2) { 6 } else { 5 }) }) && b })"
        );
        for place in &rendered.places {
            let own = &rendered.text[place.own.clone()];
            assert!(own.contains(&format!("is({})", place.id)));
        }
    }

    #[test]
    fn two_mutants_of_the_same_bytes_nest() {
        let mutants = [mutant(0, 0..1, "x"), mutant(1, 0..1, "y")];
        let rendered = render("a", &mutants.iter().collect::<Vec<_>>());
        let opened = rendered.text.matches('{').count();
        assert_eq!(opened, rendered.text.matches('}').count());
        assert!(rendered.text.starts_with("(if crate::flk_mutant::is(0)"));
    }
}
