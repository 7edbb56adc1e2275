//! Errors with a place, and code made of text.

use proc_macro::{Delimiter, Group, Punct, Spacing, Span, TokenStream, TokenTree};

/// What is wrong, and where.
pub(crate) struct Error {
    first: Span,
    last: Span,
    what: String,
}

impl Error {
    pub(crate) fn new(at: Span, what: impl Into<String>) -> Error {
        Error { first: at, last: at, what: what.into() }
    }

    /// At all of these tokens; if there are none, at the attribute.
    pub(crate) fn at(tokens: &[TokenTree], what: impl Into<String>) -> Error {
        let span = |token: Option<&TokenTree>| token.map_or_else(Span::call_site, TokenTree::span);
        Error { first: span(tokens.first()), last: span(tokens.last()), what: what.into() }
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        let text = format!("::core::compile_error! {{ {:?} }}", self.what);
        let mut tokens: Vec<_> = code(&text, &[]).into_iter().collect();
        // The compiler marks what lies from the first to the last.
        let last = tokens.len() - 1;
        tokens[..last].iter_mut().for_each(|token| token.set_span(self.first));
        tokens[last].set_span(self.last);
        tokens.into_iter().collect()
    }
}

/// What `text` says, where each of these words stands for these tokens, which stay as they are. Paths in it are looked up where the
/// attribute stands; its local variables are seen by nobody else.
pub(crate) fn code(text: &str, words: &[(&str, TokenStream)]) -> TokenStream {
    fill(text.parse().expect("it is Rust"), words)
}

fn fill(tokens: TokenStream, words: &[(&str, TokenStream)]) -> TokenStream {
    let filled = tokens.into_iter().map(|mut token| -> TokenStream {
        if let TokenTree::Ident(ident) = &token {
            let ident = ident.to_string();
            if let Some((_, stands_for)) = words.iter().find(|(word, _)| *word == ident) {
                return stands_for.clone();
            }
        }
        if let TokenTree::Group(group) = &token {
            token = Group::new(group.delimiter(), fill(group.stream(), words)).into();
        }
        token.set_span(Span::mixed_site());
        token.into()
    });
    filled.collect()
}

/// The tokens, without the groups that a `macro_rules!` has put around what it was given.
pub(crate) fn flatten(tokens: TokenStream) -> Vec<TokenTree> {
    let flat = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => flatten(group.stream()),
        token => vec![token],
    });
    flat.collect()
}

/// The tokens of an expression, with parentheses for the groups that a `macro_rules!` has put around what it was given: the compiler
/// forgets them in what an attribute gives back, and `$n * 2` is to be twice `$n`.
pub(crate) fn in_parentheses(tokens: TokenStream) -> TokenStream {
    let each = tokens.into_iter().map(|token| match token {
        TokenTree::Group(group) => {
            let inside = in_parentheses(group.stream());
            let delimiter = match group.delimiter() {
                Delimiter::None if inside.clone().into_iter().nth(1).is_none() => return inside,
                Delimiter::None => Delimiter::Parenthesis,
                other => other,
            };
            let mut new = Group::new(delimiter, inside);
            new.set_span(group.span());
            TokenTree::from(new).into()
        }
        token => token.into(),
    });
    each.collect()
}

pub(crate) fn is_punct(token: Option<&TokenTree>, letter: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == letter)
}

/// It is half of an operator.
pub(crate) fn is_joint(token: Option<&TokenTree>, letter: char) -> bool {
    let joint = |punct: &Punct| punct.as_char() == letter && punct.spacing() == Spacing::Joint;
    matches!(token, Some(TokenTree::Punct(punct)) if joint(punct))
}

pub(crate) fn is_ident(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident.to_string() == word)
}
