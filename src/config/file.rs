//! config.toml as it was written: a tree in which each value knows its place and its dotted key.
//!
//! A derive on a struct stops at the first fault; an operator wants all of them. So the tree is walked by hand: whoever
//! reads a value asks its table for it, faults gather in one [`Report`], and a key that nobody asked for is unknown.

use std::cell::RefCell;

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Warning};
use super::suggest::nearest;

/// Where something stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) key: String,
}

/// Everything that was found in one file.
#[derive(Debug)]
pub(super) struct Report<'a> {
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Report<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, faults: RefCell::new(Vec::new()), warnings: RefCell::new(Vec::new()) }
    }

    pub(super) fn place(&self, offset: usize, key: String) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
            key,
        }
    }

    pub(super) fn fault(&self, place: &Place, what: impl Into<String>, right: impl Into<String>) {
        let Place { line, column, key } = place.clone();
        self.faults.borrow_mut().push(Fault { line, column, key, what: what.into(), right: right.into() });
    }

    pub(super) fn warning(&self, place: &Place, what: impl Into<String>, right: impl Into<String>) {
        let Place { line, column, key } = place.clone();
        self.warnings.borrow_mut().push(Warning { line, column, key, what: what.into(), right: right.into() });
    }

    /// Faults and warnings in the order of the file.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Warning>) {
        let (mut faults, mut warnings) = (self.faults.into_inner(), self.warnings.into_inner());
        faults.sort();
        faults.dedup();
        warnings.sort();
        (faults, warnings)
    }
}

/// Line and column of a dotted key, such as `upstream[2].url`; of the nearest table around it if it is not written.
pub(super) fn place_of(text: &str, key: &str) -> (usize, usize) {
    look_for(text, key).0
}

/// Whether this dotted key is written.
pub(super) fn is_written(text: &str, key: &str) -> bool {
    look_for(text, key).1
}

fn look_for(text: &str, key: &str) -> ((usize, usize), bool) {
    let (document, _) = DeTable::parse_recoverable(text);
    let (mut table, mut offset, mut whole) = (Some(document.get_ref()), 0, true);
    for segment in key.split('.') {
        let (name, number) = match segment.strip_suffix(']').and_then(|segment| segment.split_once('[')) {
            Some((name, number)) => (name, number.parse::<usize>().ok()),
            None => (segment, None),
        };
        let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else {
            whole = false;
            break;
        };
        offset = key.span().start;
        let mut value = value.get_ref();
        if let Some(number) = number {
            let entry = value.as_array().and_then(|entries| entries.get(number.saturating_sub(1)));
            let Some(entry) = entry else {
                whole = false;
                break;
            };
            (offset, value) = (entry.span().start, entry.get_ref());
        }
        table = value.as_table();
    }
    let Place { line, column, .. } = Report::new(text).place(offset, String::new());
    ((line, column), whole)
}

/// One table. It remembers which keys were asked for.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    pub(super) place: Place,
    pub(super) report: &'a Report<'a>,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    pub(super) const fn new(place: Place, table: &'a DeTable<'a>, report: &'a Report<'a>) -> Self {
        Self { place, report, table, asked: RefCell::new(Vec::new()) }
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        let (name, value) = self.table.get_key_value(key)?;
        let place = self.report.place(name.span().start, self.key_of(key));
        Some(Value { place, value: value.get_ref(), report: self.report })
    }

    /// The value of `key`, which must be there; `right` says what to write.
    pub(super) fn need(&self, key: &'static str, right: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() {
            self.report.fault(&self.place_of(key), "is missing", right);
        }
        value
    }

    /// Refuses `key`, whatever its value: the design knows it, this version does not.
    pub(super) fn not_yet(&self, key: &'static str, right: &str) {
        if let Some(value) = self.get(key) {
            value.fault("is not yet supported", right);
        }
    }

    /// Where `key` stands, or the head of this table if it is not written.
    pub(super) fn place_of(&self, key: &str) -> Place {
        match self.table.get_key_value(key) {
            Some((name, _)) => self.report.place(name.span().start, self.key_of(key)),
            None => Place { key: self.key_of(key), ..self.place.clone() },
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Every key that stands here, in the order of the alphabet.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// Refuses every key that was not asked for. Called once everything that is known has been.
    pub(super) fn close(&self) {
        let asked = self.asked.borrow();
        for key in self.keys().filter(|key| !asked.contains(key)) {
            let right = match nearest(key, asked.iter().copied()) {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => format!("known here: {}", asked.join(", ")),
            };
            self.report.fault(&self.place_of(key), "is no key that is known here", right);
        }
    }

    fn key_of(&self, key: &str) -> String {
        match self.place.key.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        }
    }
}

/// One value.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    pub(super) place: Place,
    pub(super) report: &'a Report<'a>,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn fault(&self, what: impl Into<String>, right: impl Into<String>) {
        self.report.fault(&self.place, what, right);
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_flag(&self) -> bool {
        self.value.is_bool()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// A string; `form` says which one would be right.
    pub(super) fn text(&self, form: &str) -> Option<&'a str> {
        self.expect(self.value.as_str(), form)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.expect(self.value.as_bool(), "true or false")
    }

    /// A whole number in decimal, hexadecimal, octal or binary.
    pub(super) fn number(&self, form: &str) -> Option<i64> {
        let number = self.value.as_integer();
        let number = number.and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        self.expect(number, form)
    }

    /// A string or a TOML date, for dates.
    pub(super) fn text_or_date(&self, form: &str) -> Option<String> {
        let date = self.value.as_datetime().map(ToString::to_string);
        let text = self.value.as_str().map(ToOwned::to_owned);
        self.expect(text.or(date), form)
    }

    /// A table; `form` says which one would be right.
    pub(super) fn table(&self, form: &str) -> Option<Table<'a>> {
        let table = self.expect(self.value.as_table(), form)?;
        Some(Table::new(self.place.clone(), table, self.report))
    }

    /// The entries of a list, each with its number in its key: the first is 1.
    pub(super) fn list(&self, form: &str) -> Vec<Self> {
        let entries = self.expect(self.value.as_array(), form);
        let entry = |(i, entry): (usize, &'a toml::Spanned<DeValue<'a>>)| Value {
            place: self.report.place(entry.span().start, format!("{}[{}]", self.place.key, i + 1)),
            value: entry.get_ref(),
            report: self.report,
        };
        entries.into_iter().flat_map(|entries| entries.iter().enumerate()).map(entry).collect()
    }

    /// One of a few words. Words of `later` are known, but to a later version.
    pub(super) fn choice<T: Clone>(&self, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        let form = || words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        let word = self.text(&form())?;
        if let Some((_, meaning)) = words.iter().find(|(known, _)| *known == word) {
            return Some(meaning.clone());
        }
        if later.contains(&word) {
            self.fault(format!("{word:?} is not yet supported"), form());
            return None;
        }
        let guess = nearest(word, words.iter().map(|(known, _)| *known));
        let guess = guess.map_or_else(String::new, |guess| format!("; did you mean {guess:?}?"));
        self.fault(format!("{word:?} is none of its values"), format!("{}{guess}", form()));
        None
    }

    /// A table as TOML text of its own, for readers that take a whole document.
    pub(super) fn to_document(&self) -> Option<String> {
        let table = toml::Spanned::new(0..0, self.value.as_table()?.clone());
        let table = toml::Table::deserialize(toml::de::Deserializer::from(table)).ok()?;
        toml::to_string(&table).ok()
    }

    fn expect<T>(&self, value: Option<T>, form: &str) -> Option<T> {
        if value.is_none() {
            self.fault(format!("wrong type: found {}", article(self.value.type_str())), form);
        }
        value
    }
}

fn article(kind: &str) -> String {
    match kind {
        "integer" => "a whole number".to_owned(),
        "array" => "a list".to_owned(),
        "float" => "a number with a fraction or an exponent".to_owned(),
        "datetime" => "a date or time".to_owned(),
        other => format!("a {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::place_of;

    #[test]
    fn a_key_is_found_again_by_its_name() {
        let text = "[store]\npath = \"x\"\n[[upstream]]\nname = \"a\"\n[[upstream]]\n  url = \"b\"\n";
        for (key, place) in [
            ("store.path", (2, 1)),
            ("store.lease", (1, 2)),
            ("upstream[1].name", (4, 1)),
            ("upstream[2].url", (6, 3)),
            ("upstream[2].tls.ca", (5, 1)),
            ("log.level", (1, 1)),
        ] {
            assert_eq!(place_of(text, key), place, "{key}");
        }
    }
}
