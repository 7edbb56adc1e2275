//! The function that an attribute stands at.

use crate::tokens::{Error, flatten, is_ident, is_punct};
use proc_macro::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};

/// A function without arguments.
pub(crate) struct Function {
    attributes: Vec<Attribute>,
    pub(crate) visibility: TokenStream,
    /// `fn`
    keyword: TokenTree,
    pub(crate) name: Ident,
    arguments: Group,
    /// The type behind `->`, and that; or nothing.
    output: Vec<TokenTree>,
    body: Group,
}

/// An attribute of that function.
pub(crate) struct Attribute {
    pub(crate) span: Span,
    tokens: [TokenTree; 2],
    inside: Vec<TokenTree>,
}

impl Attribute {
    /// The one literal in `#[name = "text"]` and in `#[name(key = "text")]`.
    pub(crate) fn literal(&self) -> Option<Literal> {
        fn in_tokens(tokens: &[TokenTree]) -> Option<Literal> {
            tokens.iter().find_map(|token| match token {
                TokenTree::Literal(literal) => Some(literal.clone()),
                TokenTree::Group(group) => in_tokens(&flatten(group.stream())),
                _ => None,
            })
        }
        in_tokens(&self.inside)
    }
}

impl Function {
    /// Errors say what is wrong for `#[attribute]`, where it is.
    pub(crate) fn parse(item: TokenStream, attribute: &str) -> Result<Function, Error> {
        let tokens = flatten(item);
        let no_function = |at: &[TokenTree]| Error::at(at, format!("`#[{attribute}]` is for a function"));
        let mut at = 0;
        let mut attributes = Vec::new();
        while let (true, Some(TokenTree::Group(group))) = (is_punct(tokens.get(at), '#'), tokens.get(at + 1))
        {
            attributes.push(Attribute {
                span: group.span(),
                tokens: [tokens[at].clone(), tokens[at + 1].clone()],
                inside: flatten(group.stream()),
            });
            at += 2;
        }
        let head = at;
        if is_ident(tokens.get(at), "pub") {
            at += 1;
            if matches!(tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
            {
                at += 1;
            }
        }
        let visibility = tokens[head..at].iter().cloned().collect();
        let Some(distance) = tokens[at..].iter().position(|token| is_ident(Some(token), "fn")) else {
            return Err(no_function(&tokens[head..]));
        };
        if let Some(word) = tokens.get(at).filter(|_| distance > 0) {
            return Err(qualified(word).unwrap_or_else(|| no_function(&tokens[head..])));
        }
        let keyword = tokens[at].clone();
        let (Some(TokenTree::Ident(name)), Some(next)) = (tokens.get(at + 1), tokens.get(at + 2)) else {
            return Err(no_function(&tokens[head..]));
        };
        let arguments = match next {
            TokenTree::Group(group) => group,
            next => {
                let what = format!("with `#[{attribute}]` a function has no type parameters");
                return Err(Error::new(next.span(), what));
            }
        };
        if !arguments.stream().is_empty() {
            let given: Vec<_> = arguments.stream().into_iter().collect();
            let what = format!("with `#[{attribute}]` a function takes no arguments");
            return Err(Error::at(&given, what));
        }
        let rest = &tokens[at + 3..];
        let Some((TokenTree::Group(body), output)) = rest.split_last().filter(
            |(last, _)| matches!(last, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace),
        ) else {
            return Err(Error::at(rest, "a function with a body is expected"));
        };
        if let Some(bound) = output.iter().find(|token| is_ident(Some(token), "where")) {
            let what = format!("with `#[{attribute}]` a function has no `where`");
            return Err(Error::new(bound.span(), what));
        }
        Ok(Function {
            attributes,
            visibility,
            keyword,
            name: name.clone(),
            arguments: arguments.clone(),
            output: output.to_vec(),
            body: body.clone(),
        })
    }

    pub(crate) fn attributes(&self) -> TokenStream {
        self.attributes.iter().flat_map(|attribute| attribute.tokens.clone()).collect()
    }

    /// The first attribute of that name, whatever the path to it.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| {
            let is_path =
                |token: &&TokenTree| is_punct(Some(token), ':') || matches!(token, TokenTree::Ident(_));
            is_ident(attribute.inside.iter().take_while(is_path).last(), name)
        })
    }

    /// As it was written, but without attributes and visibility.
    pub(crate) fn bare(&self) -> TokenStream {
        let head = [self.keyword.clone(), self.name.clone().into(), self.arguments.clone().into()];
        let body = TokenTree::from(self.body.clone());
        head.into_iter().chain(self.output.iter().cloned()).chain([body]).collect()
    }

    /// Its name, where errors about the type that it returns belong to that type.
    pub(crate) fn reference(&self) -> TokenStream {
        let mut name = self.name.clone();
        if let Some(kind) = self.output.last() {
            name.set_span(name.span().located_at(kind.span()));
        }
        TokenTree::from(name).into()
    }

    /// Its name without the `r#` of a raw one.
    pub(crate) fn plain_name(&self) -> String {
        let name = self.name.to_string();
        name.strip_prefix("r#").unwrap_or(&name).to_owned()
    }

    pub(crate) fn returns_nothing(&self) -> bool {
        let unit = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis && group.stream().is_empty());
        match &self.output[..] {
            [] => true,
            [_, _, only] => unit(only),
            _ => false,
        }
    }
}

/// What is wrong with `word` before `fn`, if it belongs to a function.
fn qualified(word: &TokenTree) -> Option<Error> {
    let what = match word.to_string().as_str() {
        "async" => {
            "it runs as a task, and is no future: leave `async` and the `.await`s out, and what would wait suspends the task"
        }
        "const" | "unsafe" | "extern" | "safe" | "gen" => "it has to be a plain `fn`",
        _ => return None,
    };
    Some(Error::new(word.span(), what))
}

/// Whether a function `main` is there, right or wrong.
pub(crate) fn is_named_main(item: TokenStream) -> bool {
    flatten(item).windows(2).any(|two| is_ident(two.first(), "fn") && is_ident(two.get(1), "main"))
}
