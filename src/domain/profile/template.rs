//! Path templates: `/v1/workspaces/{workspace}/message`, split into segments once.
//!
//! A variable is always a whole segment, so that matching never has to search inside one.

use std::fmt;

/// The longest template, in segments.
pub(super) const SEGMENTS_MAX: usize = 24;
/// The longest fixed segment or variable name, in bytes.
pub(super) const SEGMENT_BYTES_MAX: usize = 64;

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// These characters, exactly.
    Fixed(Box<str>),
    /// Any one segment, known by this name.
    Variable(Box<str>),
}

impl Segment {
    /// The characters of a fixed segment.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Variable(_) => None,
        }
    }

    /// The name of a variable one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::Fixed(_) => None,
        }
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplateFault {
    /// It is not of the form at all.
    Malformed,
    /// More segments than [`SEGMENTS_MAX`].
    TooLong,
    /// One variable is there twice.
    Repeated(String),
}

/// A path of fixed and variable segments; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTemplate(Box<[Segment]>);

impl PathTemplate {
    /// Reads `/fixed/{variable}/…`.
    pub(super) fn parse(text: &str) -> Result<Self, TemplateFault> {
        Self::segments_of(text.strip_prefix('/').ok_or(TemplateFault::Malformed)?)
    }

    /// Reads `fixed/{variable}/…`, the form of a resource.
    pub(super) fn parse_relative(text: &str) -> Result<Self, TemplateFault> {
        Self::segments_of(text)
    }

    fn segments_of(text: &str) -> Result<Self, TemplateFault> {
        let segments = text.split('/').map(segment).collect::<Option<Box<[_]>>>().ok_or(TemplateFault::Malformed)?;
        if segments.len() > SEGMENTS_MAX {
            return Err(TemplateFault::TooLong);
        }
        let template = Self(segments);
        match template.repeated() {
            Some(name) => Err(TemplateFault::Repeated(name.to_owned())),
            None => Ok(template),
        }
    }

    fn repeated(&self) -> Option<&str> {
        let mut names: Vec<_> = self.variables().collect();
        names.sort_unstable();
        names.windows(2).find_map(|pair| matches!(pair, [one, two] if one == two).then(|| pair.first().copied())?)
    }

    /// Its segments, first to last.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The names of its variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Segment::variable)
    }

    /// Its fixed segments, in order.
    pub fn fixed(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().filter_map(Segment::fixed)
    }

    /// How many segments from the end the variable of this name stands; 0 is the last.
    pub(super) fn back_to(&self, variable: &str) -> Option<usize> {
        self.0.iter().rev().position(|segment| segment.variable() == Some(variable))
    }

    /// The number of the API's version, if a fixed segment says one: 2 for `/v2/assistants`.
    #[must_use]
    pub fn api(&self) -> Option<u8> {
        self.fixed().find_map(|text| text.strip_prefix('v').and_then(number))
    }

    /// Whether the two would match the same paths, whatever their variables are called.
    pub(super) fn same_shape(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, two)| one.fixed() == two.fixed())
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Fixed(text) => write!(f, "/{text}")?,
                Segment::Variable(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn segment(text: &str) -> Option<Segment> {
    let variable = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match variable {
        Some(name) => is_variable_name(name).then(|| Segment::Variable(name.into())),
        None => is_fixed(text).then(|| Segment::Fixed(text.into())),
    }
}

fn is_variable_name(text: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=SEGMENT_BYTES_MAX).contains(&text.len()) && text.bytes().all(named)
}

/// Fixed segments hold only what no reader could take for a separator, an escape or a parameter.
fn is_fixed(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b'@');
    let dots = text.bytes().all(|byte| byte == b'.');
    (1..=SEGMENT_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) && !dots
}

/// A method token as endpoints may have it: upper-case letters, not `HEAD`, which matches like `GET`.
pub(super) fn is_method(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase()) && text != "HEAD"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_written_as_it_was_read() {
        let text = "/v2/assistants/{assistant}/sessions/{session}/message";
        let template = PathTemplate::parse(text).unwrap();
        assert_eq!(template.to_string(), text);
        assert_eq!(template.api(), Some(2));
        assert_eq!(template.back_to("assistant"), Some(3));
        assert_eq!(template.back_to("workspace"), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_template() {
        for text in [
            "",
            "/",
            "v1/a",
            "/v1//a",
            "/v1/a/",
            "/v1/{}",
            "/v1/{A}",
            "/v1/a{b}",
            "/v1/a%20b",
            "/v1/a;b",
            "/..",
            "/a b",
        ] {
            assert_eq!(PathTemplate::parse(text), Err(TemplateFault::Malformed), "{text}");
        }
        assert_eq!(PathTemplate::parse("/{a}/{b}/{a}"), Err(TemplateFault::Repeated("a".into())));
        assert_eq!(PathTemplate::parse(&"/a".repeat(25)), Err(TemplateFault::TooLong));
    }

    #[test]
    fn names_of_variables_do_not_make_templates_differ() {
        let shape = |text| PathTemplate::parse(text).unwrap();
        assert!(shape("/v1/{a}/x").same_shape(&shape("/v1/{b}/x")));
        assert!(!shape("/v1/{a}/x").same_shape(&shape("/v1/{b}/y")));
        assert!(!shape("/v1/{a}/x").same_shape(&shape("/v1/a/x")));
    }
}
