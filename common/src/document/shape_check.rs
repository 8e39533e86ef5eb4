//! Compares a document with the shape of its struct and finds everything that differs, not only the first.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeInteger, DeTable, DeValue};

use super::finding::{Finding, Findings, quoted};
use super::key_path::KeyPath;
use super::shape::{Field, OnlyWith, Shape};
use crate::nearest::nearest;

/// Everything in which `document` differs from `root`.
pub(super) fn check_shape(document: &DeTable<'_>, root: &Shape) -> Findings {
    let mut check = ShapeCheck {
        root,
        findings: Findings::default(),
    };
    if let Shape::Table(fields) = root {
        check.table(&KeyPath::default(), document, fields);
    }
    check.findings
}

struct ShapeCheck<'a> {
    root: &'a Shape,
    findings: Findings,
}

impl ShapeCheck<'_> {
    fn table(&mut self, path: &KeyPath, table: &DeTable<'_>, fields: &BTreeMap<String, Field>) {
        let mut misspelt = BTreeSet::new();
        for (key, value) in table.iter() {
            let path = path.key(key.get_ref());
            match fields.get(key.get_ref().as_ref()) {
                Some(field) => match belonging(field, table, fields) {
                    Belonging::Certain | Belonging::Unknown => {
                        self.value(&path, value.get_ref(), &field.shape);
                    }
                    Belonging::Elsewhere(only_with, name) => {
                        self.misplaced_key(path, only_with, name, &keys_here(table, fields));
                    }
                },
                None => misspelt.extend(self.unknown_key(path, key.get_ref(), table, fields)),
            }
        }
        for (key, field) in fields {
            // A required key that was misspelt has been reported as such.
            if field.required
                && belonging(field, table, fields) == Belonging::Certain
                && !table.contains_key(key.as_str())
                && !misspelt.contains(key.as_str())
            {
                let what = if matches!(field.shape, Shape::Table(_)) {
                    "this table is missing"
                } else {
                    "this key is missing"
                };
                self.findings.push(
                    Finding::value(path.key(key), what)
                        .note(format!("meaning: {}", field.description)),
                );
            }
        }
    }

    /// Reports a key that goes with another name of the key that decides.
    fn misplaced_key(&mut self, path: KeyPath, only_with: &OnlyWith, name: &str, here: &[&str]) {
        let OnlyWith { key, names } = only_with;
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let reason = format!(
            "goes with {key} = {}, not with {name:?}",
            names.join(" or ")
        );
        let note = format!("valid keys with {key} = {name:?}: {}", here.join(", "));
        self.findings.push(Finding::key(path, reason).note(note));
    }

    /// Reports a key that no field has, and returns the absent field that was probably meant.
    fn unknown_key<'f>(
        &mut self,
        path: KeyPath,
        key: &str,
        table: &DeTable<'_>,
        fields: &'f BTreeMap<String, Field>,
    ) -> Option<&'f str> {
        let valid = keys_here(table, fields);
        let absent = valid
            .iter()
            .copied()
            .filter(|name| !table.contains_key(*name));
        let here = nearest(key, absent);
        let elsewhere = || self.root.paths_to(key).into_iter().next();
        let meant = here.map(str::to_owned).or_else(elsewhere);
        let reason = match meant {
            Some(name) => format!("unknown key; did you mean `{name}`?"),
            None => "unknown key".to_owned(),
        };
        self.findings.push(
            Finding::key(path, reason).note(format!("valid keys here: {}", valid.join(", "))),
        );
        here
    }

    fn value(&mut self, path: &KeyPath, value: &DeValue<'_>, shape: &Shape) {
        match (shape, value) {
            (Shape::Table(fields), DeValue::Table(table)) => self.table(path, table, fields),
            (Shape::Map(each), DeValue::Table(table)) => {
                for (key, value) in table.iter() {
                    self.value(&path.key(key.get_ref()), value.get_ref(), each);
                }
            }
            (Shape::List(each, least, most), DeValue::Array(values)) => {
                if !(*least..=*most).contains(&values.len()) {
                    let wanted = if least == most {
                        least.to_string()
                    } else {
                        format!("{least} to {most}")
                    };
                    let reason = format!("must have {wanted} values, has {}", values.len());
                    self.findings.push(Finding::value(path.clone(), reason));
                }
                for (index, value) in values.iter().enumerate() {
                    self.value(&path.index(index), value.get_ref(), each);
                }
            }
            (shape, value) => {
                if let Err((reason, note)) = check_scalar(shape, value) {
                    let finding = Finding::value(path.clone(), reason);
                    self.findings.push(match note {
                        Some(note) => finding.note(note),
                        None => finding,
                    });
                }
            }
        }
    }
}

/// Whether a key belongs into a table.
#[derive(Debug, PartialEq)]
enum Belonging<'a> {
    Certain,
    /// The key that decides is missing or wrong itself.
    Unknown,
    /// Not with this name of the key that decides.
    Elsewhere(&'a OnlyWith, &'a str),
}

fn belonging<'a>(
    field: &'a Field,
    table: &'a DeTable<'_>,
    fields: &BTreeMap<String, Field>,
) -> Belonging<'a> {
    let Some(only_with) = &field.only_with else {
        return Belonging::Certain;
    };
    let decides = fields.get(&only_with.key).map(|field| &field.shape);
    let name = table
        .get(only_with.key.as_str())
        .and_then(|value| value.get_ref().as_str());
    match (decides, name) {
        (Some(Shape::Name(names)), Some(name)) if names.iter().any(|known| known == name) => {
            if only_with.names.iter().any(|accepted| accepted == name) {
                Belonging::Certain
            } else {
                Belonging::Elsewhere(only_with, name)
            }
        }
        (_, _) => Belonging::Unknown,
    }
}

/// The keys that a table may have, as far as that can be told.
fn keys_here<'f>(table: &DeTable<'_>, fields: &'f BTreeMap<String, Field>) -> Vec<&'f str> {
    let may_stand = |field| !matches!(belonging(field, table, fields), Belonging::Elsewhere(..));
    fields
        .iter()
        .filter(|(_, field)| may_stand(field))
        .map(|(key, _)| key.as_str())
        .collect()
}

/// Whether a value that holds no others is of this shape; if not, the reason and a note.
fn check_scalar(shape: &Shape, value: &DeValue<'_>) -> Result<(), (String, Option<String>)> {
    match (shape, value) {
        (Shape::Other, _)
        | (Shape::Flag, DeValue::Boolean(_))
        | (Shape::Text, DeValue::String(_)) => Ok(()),
        (Shape::Name(names), DeValue::String(text)) => check_name(names, text),
        (Shape::Formatted(format), DeValue::String(text)) => format.check(text).map_err(|reason| {
            let (wanted, given) = (format.wanted(), quoted(text));
            (format!("must be {wanted}, is {given}: {reason}"), None)
        }),
        (Shape::Whole(least, most), DeValue::Integer(integer)) => match whole(integer) {
            Some(number) if (*least..=*most).contains(&number) => Ok(()),
            Some(_) | None => Err((
                format!("must be from {least} to {most}, is {integer}"),
                None,
            )),
        },
        (Shape::Number(least, most), DeValue::Integer(integer)) => check_number(
            *least,
            *most,
            integer,
            whole(integer).map(|number| number as f64),
        ),
        (Shape::Number(least, most), DeValue::Float(float)) => {
            check_number(*least, *most, float, float.as_str().parse().ok())
        }
        (Shape::Whole(..) | Shape::Number(..) | Shape::Flag, DeValue::String(text))
            if reads_as(shape, text) =>
        {
            Err((
                format!("must be {}, is a string", wanted(shape)),
                Some("leave out the quotes".to_owned()),
            ))
        }
        (shape, value) => Err((
            format!("must be {}, is {}", wanted(shape), kind(value)),
            None,
        )),
    }
}

fn check_name(names: &[String], text: &str) -> Result<(), (String, Option<String>)> {
    if names.iter().any(|name| name == text) {
        return Ok(());
    }
    let reason = match nearest(text, names.iter().map(String::as_str)) {
        Some(name) => format!("unknown name {}; did you mean {name:?}?", quoted(text)),
        None => format!("unknown name {}", quoted(text)),
    };
    Err((reason, Some(format!("valid names: {}", names.join(", ")))))
}

fn check_number(
    least: f64,
    most: f64,
    written: impl std::fmt::Display,
    number: Option<f64>,
) -> Result<(), (String, Option<String>)> {
    // No NaN is in any range.
    if number.is_some_and(|number| (least..=most).contains(&number)) {
        return Ok(());
    }
    Err((
        format!("must be from {least:?} to {most:?}, is {written}"),
        None,
    ))
}

fn whole(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Whether the text would be of the shape without its quotes.
fn reads_as(shape: &Shape, text: &str) -> bool {
    match shape {
        Shape::Flag => text.parse::<bool>().is_ok(),
        Shape::Whole(..) => text.parse::<i128>().is_ok(),
        Shape::Number(..) => text.parse::<f64>().is_ok(),
        Shape::Text
        | Shape::Formatted(_)
        | Shape::Name(_)
        | Shape::List(..)
        | Shape::Map(_)
        | Shape::Table(_)
        | Shape::Other => false,
    }
}

fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "true or false".to_owned(),
        Shape::Text => "a string".to_owned(),
        Shape::Formatted(format) => format.wanted().to_owned(),
        Shape::Name(names) => format!("a string, one of {}", names.join(", ")),
        Shape::Whole(..) => "a whole number".to_owned(),
        Shape::Number(..) => "a number".to_owned(),
        Shape::List(each, ..) => format!("a list in which each is {}", wanted(each)),
        Shape::Map(_) | Shape::Table(_) => "a table".to_owned(),
        Shape::Other => "something else".to_owned(),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
