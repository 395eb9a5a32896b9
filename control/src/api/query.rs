//! The query of a request, by name.

use super::problem::Problem;
use std::collections::HashMap;

/// Names with their values, percent-decoded; of a name that is there twice the last value.
pub(super) struct Query(HashMap<String, String>);

impl Query {
    pub(super) fn of(query: Option<&str>) -> Query {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Query(pairs.into_owned().collect())
    }

    /// The value of a name.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|it| !it.is_empty()).cloned()
    }

    /// The same as a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let wrong = |_| Problem::Query(format!("{name} is a whole number"));
        self.text(name)
            .map(|it| it.parse())
            .transpose()
            .map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_what_is_no_number_is_refused() {
        let query = Query::of(Some("names=a%2Cb_%7B&from=7&to=x&empty=&last=0%3A1"));
        assert_eq!(query.text("names").as_deref(), Some("a,b_{"));
        assert_eq!(query.text("last").as_deref(), Some("0:1"));
        assert_eq!((query.text("empty"), query.text("none")), (None, None));
        assert!(matches!(query.number("from"), Ok(Some(7))));
        assert!(matches!(query.number("none"), Ok(None)));
        assert!(query.number("to").is_err());
        assert!(Query::of(None).text("names").is_none());
    }
}
