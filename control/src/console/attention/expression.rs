//! Expressions of rules: the part of PromQL that they use, as a tree. What it does not know it refuses, so a rule is judged as it
//! is written or not at all. It holds no number of a gateway.

use super::labels::Matcher;
use super::rules::milliseconds;
use std::collections::BTreeMap;

/// A longer time than the console keeps.
const WINDOW_MS_MAX: u64 = 86_400_000;
/// Named expressions within each other.
const DEPTH_MAX: usize = 8;

/// Series by name and labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) matchers: Vec<Matcher>,
}

/// What is made of a counter over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Its growth a second.
    Rate,
    /// Its growth.
    Increase,
    /// How often a number was another one.
    Changes,
}

/// What joins two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Above,
    Below,
    Equals,
    And,
    Or,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    /// Seconds since 1970.
    Time,
    Select(Selector),
    Growth(Growth, Selector, u64),
    Absolute(Box<Expression>),
    Sum(Vec<String>, Box<Expression>),
    /// A quantile of buckets.
    Quantile(f64, Box<Expression>),
    Join(Operator, Box<Expression>, Box<Expression>),
}

impl Expression {
    /// The same without sides of `or` that nothing is known of; none: it cannot be judged.
    pub(super) fn of_known(self, is_known: &impl Fn(&str) -> bool) -> Option<Expression> {
        let inner = |it: Box<Expression>| it.of_known(is_known).map(Box::new);
        Some(match self {
            Expression::Select(it) | Expression::Growth(_, it, _) if !is_known(&it.name) => {
                return None;
            }
            Expression::Absolute(of) => Expression::Absolute(inner(of)?),
            Expression::Sum(by, of) => Expression::Sum(by, inner(of)?),
            Expression::Quantile(part, of) => Expression::Quantile(part, inner(of)?),
            Expression::Join(Operator::Or, left, right) => match (inner(left), inner(right)) {
                (Some(left), Some(right)) => Expression::Join(Operator::Or, left, right),
                (Some(one), None) | (None, Some(one)) => *one,
                (None, None) => return None,
            },
            Expression::Join(operator, left, right) => {
                Expression::Join(operator, inner(left)?, inner(right)?)
            }
            other => other,
        })
    }

    /// Names of metrics, each with the longest time that it is looked at over; 0: as it is now.
    pub(super) fn windows(&self, windows: &mut BTreeMap<String, u64>) {
        let mut note = |name: &str, window_ms: u64| {
            let longest = windows.entry(name.to_owned()).or_insert(0);
            *longest = window_ms.max(*longest);
        };
        match self {
            Expression::Number(_) | Expression::Time => {}
            Expression::Select(it) => note(&it.name, 0),
            Expression::Growth(_, it, window_ms) => note(&it.name, *window_ms),
            Expression::Absolute(of) | Expression::Sum(_, of) | Expression::Quantile(_, of) => {
                of.windows(windows);
            }
            Expression::Join(_, left, right) => {
                left.windows(windows);
                right.windows(windows);
            }
        }
    }
}

/// Reads an expression; names of records stand for theirs.
pub(super) fn read(text: &str, records: &BTreeMap<&str, &str>) -> Result<Expression, String> {
    read_within(text, records, 0)
}

fn read_within(
    text: &str,
    records: &BTreeMap<&str, &str>,
    depth: usize,
) -> Result<Expression, String> {
    if depth > DEPTH_MAX {
        return Err("records within records".to_owned());
    }
    let mut reader = Reader {
        rest: text,
        records,
        depth,
    };
    let expression = reader.either()?;
    match reader.rest.trim_start() {
        "" => Ok(expression),
        rest => Err(format!("not understood: {rest}")),
    }
}

struct Reader<'t> {
    rest: &'t str,
    records: &'t BTreeMap<&'t str, &'t str>,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// Takes a text if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expects(&mut self, text: &str) -> Result<(), String> {
        match self.takes(text) {
            true => Ok(()),
            false => Err(format!("{text} is missing before {}", self.rest)),
        }
    }

    /// Takes a word if it comes next.
    fn takes_word(&mut self, word: &str) -> bool {
        let before = self.rest;
        let is_it = self.name() == word;
        if !is_it {
            self.rest = before;
        }
        is_it
    }

    /// The name that comes next, which may be empty.
    fn name(&mut self) -> &'t str {
        let text = self.rest.trim_start();
        let is_of_name = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == ':';
        let end = text.find(|it| !is_of_name(it)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        self.rest = rest;
        name
    }

    fn either(&mut self) -> Result<Expression, String> {
        let mut left = self.both()?;
        while self.takes_word("or") {
            left = join(Operator::Or, left, self.both()?);
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, String> {
        let mut left = self.compared()?;
        while self.takes_word("and") {
            left = join(Operator::And, left, self.compared()?);
        }
        Ok(left)
    }

    fn compared(&mut self) -> Result<Expression, String> {
        let left = self.sum()?;
        let signs = [
            ("==", Operator::Equals),
            (">", Operator::Above),
            ("<", Operator::Below),
        ];
        match signs.into_iter().find(|(sign, _)| self.takes(sign)) {
            None => Ok(left),
            // `>=` and `!=` are in no rule.
            Some(_) if self.rest.starts_with('=') => Err("a comparison with =".to_owned()),
            Some((_, operator)) => Ok(join(operator, left, self.sum()?)),
        }
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        loop {
            let operator = match () {
                () if self.takes("+") => Operator::Add,
                () if self.takes("-") => Operator::Subtract,
                () => return Ok(left),
            };
            left = join(operator, left, self.product()?);
        }
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.single()?;
        loop {
            let operator = match () {
                () if self.takes("*") => Operator::Multiply,
                () if self.takes("/") => Operator::Divide,
                () => return Ok(left),
            };
            left = join(operator, left, self.single()?);
        }
    }

    fn single(&mut self) -> Result<Expression, String> {
        if self.takes("(") {
            let inside = self.either()?;
            self.expects(")")?;
            return Ok(inside);
        }
        let text = self.rest.trim_start();
        if text.starts_with(|it: char| it.is_ascii_digit()) {
            return self.number().map(Expression::Number);
        }
        match self.name() {
            "time" => {
                self.expects("()")?;
                Ok(Expression::Time)
            }
            "sum" => self.sum_by(),
            "abs" => self.argument().map(Expression::Absolute),
            "rate" => self.growth(Growth::Rate),
            "increase" => self.growth(Growth::Increase),
            "changes" => self.growth(Growth::Changes),
            "histogram_quantile" => {
                self.expects("(")?;
                let part = self.number()?;
                self.expects(",")?;
                let of = Box::new(self.either()?);
                self.expects(")")?;
                Ok(Expression::Quantile(part, of))
            }
            "" => Err(format!("not understood: {text}")),
            name => self.series(name),
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        let text = self.rest.trim_start();
        let end = text.find(|it: char| !it.is_ascii_digit() && it != '.');
        let (number, rest) = text.split_at(end.unwrap_or(text.len()));
        self.rest = rest;
        number.parse().map_err(|_| format!("no number: {text}"))
    }

    fn argument(&mut self) -> Result<Box<Expression>, String> {
        self.expects("(")?;
        let inside = self.either()?;
        self.expects(")")?;
        Ok(Box::new(inside))
    }

    fn sum_by(&mut self) -> Result<Expression, String> {
        let mut by = Vec::new();
        if self.takes_word("by") {
            self.expects("(")?;
            while !self.takes(")") {
                let name = self.name();
                if name.is_empty() {
                    return Err(format!("no label: {}", self.rest));
                }
                by.push(name.to_owned());
                self.takes(",");
            }
        }
        Ok(Expression::Sum(by, self.argument()?))
    }

    fn growth(&mut self, growth: Growth) -> Result<Expression, String> {
        self.expects("(")?;
        let name = self.name();
        let selector = self.selector(name)?;
        self.expects("[")?;
        let window = self.name();
        self.expects("]")?;
        self.expects(")")?;
        match milliseconds(window) {
            Some(window_ms @ 1..=WINDOW_MS_MAX) => {
                Ok(Expression::Growth(growth, selector, window_ms))
            }
            _ => Err(format!("over {window}")),
        }
    }

    fn series(&mut self, name: &str) -> Result<Expression, String> {
        if let Some(record) = self.records.get(name) {
            return read_within(record, self.records, self.depth + 1);
        }
        // A function that is not known here has an argument.
        match self.rest.starts_with(['(', '[']) {
            true => Err(format!("{name} is not known")),
            false => self.selector(name).map(Expression::Select),
        }
    }

    fn selector(&mut self, name: &str) -> Result<Selector, String> {
        let mut matchers = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                self.takes(",");
            }
        }
        let name = name.to_owned();
        Ok(Selector { name, matchers })
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let name = self.name().to_owned();
        let (is, is_pattern) = match () {
            () if self.takes("=~") => (true, true),
            () if self.takes("!=") => (false, false),
            () if self.takes("=") => (true, false),
            () => return Err(format!("no matcher: {}", self.rest)),
        };
        self.expects("\"")?;
        let (pattern, rest) = self.rest.split_once('"').ok_or("an open quote")?;
        self.rest = rest;
        Ok(Matcher {
            name,
            is,
            pattern: pattern.to_owned(),
            is_pattern,
        })
    }
}

fn join(operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression::Join(operator, Box::new(left), Box::new(right))
}
