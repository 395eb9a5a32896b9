//! Finds what can be changed: a walk over the syntax of a source that yields single mistakes as pieces of text. It never
//! changes what is constant, what tests, what stands in a macro's arguments (assertions above all), and what no test could
//! see by construction: code behind a question for a planted bug, and probes, which only measure.

use crate::mutant::{Change, Mutant, one_line};
use std::io;
use std::ops::Range;
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ImplItemFn, ItemFn, ReturnType, Stmt, Type, UnOp};

/// The mutants of one file.
pub(crate) fn of_text(path: &Path, text: &str) -> io::Result<Vec<Mutant>> {
    let file = syn::parse_file(text)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    let mut walk = Walk {
        path,
        text,
        function: String::new(),
        planted: Vec::new(),
        found: Vec::new(),
    };
    if !is_of_tests(&file.attrs) {
        walk.visit_file(&file);
    }
    walk.found.sort_by_key(|it| (it.range.start, it.range.end));
    Ok(walk.found)
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    /// Name of the function that is walked; empty outside.
    function: String,
    /// Names that this function gives to what is true only where a bug is planted.
    planted: Vec<String>,
    found: Vec<Mutant>,
}

impl Walk<'_> {
    fn text_of(&self, node: &impl Spanned) -> &str {
        &self.text[node.span().byte_range()]
    }

    fn add(&mut self, range: Range<usize>, change: Change) {
        let line = 1 + self.text[..range.start].matches('\n').count();
        let before = one_line(&self.text[range.clone()]);
        self.found.push(Mutant {
            id: 0,
            path: self.path.to_path_buf(),
            line,
            function: self.function.clone(),
            range,
            before,
            change,
            nth: 0,
        });
    }

    fn replace(&mut self, node: &impl Spanned, after: String) {
        self.add(node.span().byte_range(), Change::Replace(after));
    }

    /// Walks a function's body under its name, with a mutant that returns at once.
    fn function(&mut self, name: &syn::Ident, signature: &syn::Signature, block: &syn::Block) {
        if signature.constness.is_some() || block.stmts.is_empty() {
            return;
        }
        let outer = std::mem::replace(&mut self.function, name.to_string());
        let outer_planted = std::mem::take(&mut self.planted);
        for value in early_values(&signature.output) {
            let start = block.brace_token.span.open().byte_range().end;
            let end = block.brace_token.span.close().byte_range().start;
            self.add(start..end, Change::Return((*value).to_owned()));
        }
        self.visit_block(block);
        self.function = outer;
        self.planted = outer_planted;
    }

    /// Whether an expression can be true only where somebody planted a bug: what hangs on that is no code of the product.
    fn is_planted(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Paren(inner) => self.is_planted(&inner.expr),
            Expr::Binary(pair) if matches!(pair.op, BinOp::And(_)) => {
                self.is_planted(&pair.left) || self.is_planted(&pair.right)
            }
            Expr::Path(path) => path
                .path
                .get_ident()
                .is_some_and(|name| self.planted.iter().any(|it| name == it)),
            other => asks_for_planted_bug(other),
        }
    }

    /// Whether an expression is a number that is 0 unless a bug is planted.
    fn counts_planted(&self, expression: &Expr) -> bool {
        matches!(expression, Expr::Call(call)
            if call.args.len() == 1 && call.args.iter().all(|it| self.is_planted(it)))
    }
}

/// What a function of this type can return without having done anything.
fn early_values(output: &ReturnType) -> &'static [&'static str] {
    let ReturnType::Type(_, kind) = output else {
        return &[""];
    };
    let Type::Path(path) = kind.as_ref() else {
        return &[];
    };
    let name = path.path.segments.last().map(|it| it.ident.to_string());
    match name.as_deref() {
        Some("bool") => &["true", "false"],
        Some("u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i32" | "i64") => &["0", "1"],
        Some("f64") => &["0.0"],
        Some("Option") => &["None"],
        Some("String") => &["String::new()"],
        Some("Vec") => &["Vec::new()"],
        Some("Result") if gives_nothing(path) => &["Ok(())"],
        _ => &[],
    }
}

/// Whether it is a `Result<(), …>`.
fn gives_nothing(path: &syn::TypePath) -> bool {
    let Some(segment) = path.path.segments.last() else {
        return false;
    };
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return false;
    };
    matches!(
        arguments.args.first(),
        Some(syn::GenericArgument::Type(Type::Tuple(tuple))) if tuple.elems.is_empty()
    )
}

/// Whether it is a question for a bug that somebody planted.
fn asks_for_planted_bug(expression: &Expr) -> bool {
    let Expr::Call(call) = expression else {
        return false;
    };
    let Expr::Path(function) = call.func.as_ref() else {
        return false;
    };
    let name = function.path.segments.last();
    name.is_some_and(|it| it.ident == "planted")
}

/// Whether a release holds nothing of what has these attributes.
fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    let names = |list: &syn::MetaList, word: &str| list.tokens.to_string().contains(word);
    attributes.iter().any(|it| {
        it.path().is_ident("test")
            || it.path().is_ident("cfg")
                && matches!(&it.meta, syn::Meta::List(list)
                    if names(list, "test") || names(list, "\"planted-bugs\""))
    })
}

/// The attributes of a statement that may stand for planted bugs only.
fn attributes_of(statement: &Stmt) -> &[syn::Attribute] {
    match statement {
        Stmt::Local(local) => &local.attrs,
        Stmt::Expr(Expr::If(it), _) => &it.attrs,
        Stmt::Expr(Expr::MethodCall(it), _) => &it.attrs,
        Stmt::Expr(Expr::Call(it), _) => &it.attrs,
        Stmt::Expr(Expr::Try(it), _) => &it.attrs,
        _ => &[],
    }
}

/// The operators that people mistake for each other.
fn mistaken_for(op: &BinOp) -> Option<&'static str> {
    Some(match op {
        BinOp::Lt(_) => "<=",
        BinOp::Le(_) => "<",
        BinOp::Gt(_) => ">=",
        BinOp::Ge(_) => ">",
        BinOp::Eq(_) => "!=",
        BinOp::Ne(_) => "==",
        BinOp::And(_) => "||",
        BinOp::Or(_) => "&&",
        BinOp::Add(_) => "-",
        BinOp::Sub(_) => "+",
        BinOp::Mul(_) => "/",
        BinOp::Div(_) => "*",
        BinOp::Rem(_) => "/",
        BinOp::Shl(_) => ">>",
        BinOp::Shr(_) => "<<",
        BinOp::BitAnd(_) => "|",
        BinOp::BitOr(_) => "&",
        BinOp::AddAssign(_) => "-=",
        BinOp::SubAssign(_) => "+=",
        BinOp::BitOrAssign(_) => "&=",
        _ => return None,
    })
}

/// The methods that people mistake for each other.
fn method_mistaken_for(name: &str) -> Option<&'static str> {
    Some(match name {
        "min" => "max",
        "max" => "min",
        "any" => "all",
        "all" => "any",
        "is_some" => "is_none",
        "is_none" => "is_some",
        "is_ok" => "is_err",
        "is_err" => "is_ok",
        "first" => "last",
        "last" => "first",
        "front" => "back",
        "push_back" => "push_front",
        "pop_front" => "pop_back",
        "is_some_and" => "is_none_or",
        "is_none_or" => "is_some_and",
        _ => return None,
    })
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_of_tests(&item.attrs) {
            self.function(&item.sig.ident, &item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_of_tests(&item.attrs) {
            self.function(&item.sig.ident, &item.sig, &item.block);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_of_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // What is shown of a value is no behaviour.
        let of_debug = item
            .trait_
            .as_ref()
            .is_some_and(|(_, path, _)| path.segments.last().is_some_and(|it| it.ident == "Debug"));
        if !of_debug && !is_of_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    // Constant expressions cannot ask a switch.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
    }

    fn visit_local(&mut self, node: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&node.pat, &node.init)
            && self.is_planted(&init.expr)
        {
            self.planted.push(name.ident.to_string());
            return;
        }
        visit::visit_local(self, node);
    }

    fn visit_expr_if(&mut self, node: &'ast syn::ExprIf) {
        if !self.is_planted(&node.cond) {
            self.visit_expr(&node.cond);
            self.visit_block(&node.then_branch);
        }
        let not = match node.cond.as_ref() {
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => Some(&unary.expr),
            _ => None,
        };
        if let Some((_, otherwise)) = &node.else_branch
            && !not.is_some_and(|asked| self.is_planted(asked))
        {
            self.visit_expr(otherwise);
        }
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        let planted = self.is_planted(&node.expr);
        if !planted {
            self.visit_expr(&node.expr);
        }
        for arm in &node.arms {
            let guarded = arm
                .guard
                .as_ref()
                .is_some_and(|(_, it)| self.is_planted(it));
            if !(guarded || planted && self.text_of(&arm.pat) == "true") {
                self.visit_arm(arm);
            }
        }
    }

    fn visit_stmt(&mut self, node: &'ast Stmt) {
        if is_of_tests(attributes_of(node)) {
            return;
        }
        if let Stmt::Expr(Expr::MethodCall(call), _) = node
            && call.method == "probe"
        {
            return;
        }
        if let Stmt::Expr(expression, Some(_)) = node
            && matches!(
                expression,
                Expr::MethodCall(_)
                    | Expr::Call(_)
                    | Expr::Assign(_)
                    | Expr::Await(_)
                    | Expr::Try(_)
            )
        {
            self.add(node.span().byte_range(), Change::LeaveOut);
        }
        visit::visit_stmt(self, node);
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        let both = matches!(node.op, BinOp::And(_));
        if both && (self.is_planted(&node.left) || self.is_planted(&node.right)) {
            return;
        }
        if self.counts_planted(&node.right) {
            return self.visit_expr(&node.left);
        }
        let has_let = |side: &Expr| self.text_of(side).contains("let ");
        let chain = has_let(&node.left) || has_let(&node.right);
        if let Some(op) = mistaken_for(&node.op)
            && !chain
        {
            let (left, right) = (self.text_of(&node.left), self.text_of(&node.right));
            let after = format!("{left} {op} {right}");
            self.replace(node, after);
        }
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        if let UnOp::Not(_) = node.op {
            let after = self.text_of(&node.expr).to_owned();
            self.replace(node, after);
        }
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        if let Some(name) = method_mistaken_for(&node.method.to_string()) {
            let whole = node.span().byte_range();
            let method = node.method.span().byte_range();
            let after = format!(
                "{}{name}{}",
                &self.text[whole.start..method.start],
                &self.text[method.end..whole.end]
            );
            self.replace(node, after);
        }
        visit::visit_expr_method_call(self, node);
    }

    fn visit_expr_lit(&mut self, node: &'ast syn::ExprLit) {
        if let syn::Lit::Int(literal) = &node.lit
            && !self.function.is_empty()
            && let Ok(value) = literal.base10_parse::<u64>()
        {
            // Of a thousand microseconds or bytes, one more is no mistake that anybody makes.
            let wrong = if value < 1000 { value + 1 } else { value / 2 };
            self.replace(node, format!("{wrong}{}", literal.suffix()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Vec<String> {
        let mutants = of_text(Path::new("a.rs"), text).unwrap();
        mutants.iter().map(Mutant::shown_change).collect()
    }

    #[test]
    fn an_operator_a_literal_and_a_return_are_mistaken_for_others() {
        assert_eq!(
            changes("fn f(a: u32) -> bool { a < 5 }"),
            [
                "returns (true) at once",
                "returns (false) at once",
                "a < 5 -> a <= 5",
                "5 -> 6"
            ]
        );
    }

    #[test]
    fn a_large_literal_is_half_of_it() {
        let found = changes("fn f(v: &mut V) { v.set(999, 5_000u32); }");
        assert!(found.contains(&"999 -> 1000".to_owned()));
        assert!(found.contains(&"5_000u32 -> 2500u32".to_owned()));
    }

    #[test]
    fn statements_are_left_out_and_methods_mistaken() {
        let found = changes("fn f(v: &mut V) { v.push(g.min(h)); }");
        assert!(found.contains(&"without v.push(g.min(h));".to_owned()));
        assert!(found.contains(&"g.min(h) -> g.max(h)".to_owned()));
    }

    #[test]
    fn tests_constants_patterns_planted_bugs_and_assertions_stay() {
        for text in [
            "const A: u32 = 1 + 2;",
            "#[cfg(test)] mod tests { fn f() -> bool { 1 < 2 } }",
            "#[test] fn t() { f(1); }",
            "const fn f(a: u32) -> u32 { a + 1 }",
            "fn f() -> R { planted(Bug::A) && a > 0 }",
            "fn f() -> R { planted(Bug::A) && a && b > 0 }",
            "fn f() -> R { match planted(Bug::A) && a > 0 { true => b + 1, false => c } }",
            "fn f() -> R { match a { x if planted(Bug::A) => x + 1, _ => b } }",
            "fn f() -> R { if planted(Bug::A) { a += 1; g(); } else { b } }",
            "fn f() -> R { let early = planted(Bug::A) && a > 0; if early { g(); } b }",
            "fn f() -> R { a + u32::from(planted(Bug::A)) }",
            "#![cfg(feature = \"planted-bugs\")] fn f() { g(); }",
            "fn f() -> R { #[cfg(feature = \"planted-bugs\")] let a = g(1 < 2); a }",
            "fn f() -> R { #[cfg(feature = \"planted-bugs\")] g(); a }",
            "fn f() -> R { #[cfg(feature = \"planted-bugs\")] if a < b { g(); } a }",
        ] {
            assert_eq!(changes(text), [""; 0], "{text}");
        }
        assert_eq!(
            changes("fn f() -> R { if !planted(Bug::A) { g(); } else { h(); } }"),
            ["!planted(Bug::A) -> planted(Bug::A)", "without g();"],
            "the other side of a question is code of the product"
        );
        assert_eq!(
            changes("fn f() -> R { a == b || planted(Bug::A) }"),
            [
                "a == b -> a != b",
                "a == b || planted(Bug::A) -> a == b && planted(Bug::A)"
            ]
        );
        assert_eq!(
            changes("fn f(driver: &mut D) { driver.probe(Stage::Parse); }"),
            ["returns () at once"],
            "a probe measures and changes nothing"
        );
        assert_eq!(
            changes("fn f(a: A) { assert!(a < 5); let [x, 1..=3] = a else { return }; }"),
            ["returns () at once"]
        );
    }
}
