//! The JSON schema of a document, and the part of it that the shape check needs, in types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::format::Format;

/// The JSON schema (draft 2020-12) of a document.
pub(crate) fn json_schema<D: JsonSchema>() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<D>()
        .to_value()
}

/// What a value has to look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Flag,
    Text,
    /// A text of this form.
    Formatted(Format),
    /// One of these names.
    Name(Vec<String>),
    /// A whole number between two bounds, both allowed.
    Whole(i128, i128),
    /// A finite number between two bounds, both allowed.
    Number(f64, f64),
    /// So many values, at least and at most.
    List(Box<Shape>, usize, usize),
    /// Any keys, values of one shape.
    Map(Box<Shape>),
    /// These keys only.
    Table(BTreeMap<String, Field>),
    /// Nothing that this check knows; reading it into the structs decides.
    Other,
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    /// Wherever it belongs.
    pub(super) required: bool,
    /// Where it belongs, if not everywhere.
    pub(super) only_with: Option<OnlyWith>,
    pub(super) description: String,
}

/// The names that another key of the table must have for a key to belong there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnlyWith {
    pub(super) key: String,
    pub(super) names: Vec<String>,
}

impl Shape {
    /// The shape that a schema without references describes.
    pub(crate) fn of(schema: &Value) -> Self {
        if let Some(names) = names(schema) {
            return Self::Name(names);
        }
        match type_name(schema) {
            Some("boolean") => Self::Flag,
            Some("string") => schema
                .get("format")
                .and_then(Value::as_str)
                .and_then(Format::named)
                .map_or(Self::Text, Self::Formatted),
            Some("integer") => {
                let (least, most) = format_bounds(schema);
                Self::Whole(
                    bound(schema, "minimum").unwrap_or(least),
                    bound(schema, "maximum").unwrap_or(most),
                )
            }
            Some("number") => {
                let float = |key: &str| schema.get(key).and_then(Value::as_f64);
                Self::Number(
                    float("minimum").unwrap_or(f64::MIN),
                    float("maximum").unwrap_or(f64::MAX),
                )
            }
            Some("array") => {
                let size =
                    |key: &str| bound(schema, key).and_then(|size| usize::try_from(size).ok());
                let items = schema.get("items").map_or(Self::Other, Self::of);
                Self::List(
                    Box::new(items),
                    size("minItems").unwrap_or(0),
                    size("maxItems").unwrap_or(usize::MAX),
                )
            }
            Some("object") => Self::of_object(schema),
            Some(_) | None => Self::Other,
        }
    }

    fn of_object(schema: &Value) -> Self {
        match (schema.get("properties"), schema.get("additionalProperties")) {
            (Some(Value::Object(properties)), Some(Value::Bool(false))) => {
                let required = strings(schema.get("required"));
                let cases = cases(schema);
                let fields = properties.iter().map(|(key, field)| {
                    let description = field
                        .get("description")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let name = key.as_str();
                    let needed = cases.iter().any(|case| case.required.contains(&name));
                    let field = Field {
                        shape: Self::of(field),
                        required: needed || required.contains(&name),
                        only_with: only_with(name, &cases),
                        description: description.to_owned(),
                    };
                    (key.clone(), field)
                });
                Self::Table(fields.collect())
            }
            (None, Some(values)) => Self::Map(Box::new(Self::of(values))),
            (_, _) => Self::Other,
        }
    }

    /// The dotted paths below this table that end in `key`.
    pub(super) fn paths_to(&self, key: &str) -> Vec<String> {
        let Self::Table(fields) = self else {
            return Vec::new();
        };
        let below = fields.iter().flat_map(|(name, field)| {
            field
                .shape
                .paths_to(key)
                .into_iter()
                .map(move |path| format!("{name}.{path}"))
        });
        fields
            .contains_key(key)
            .then(|| key.to_owned())
            .into_iter()
            .chain(below)
            .collect()
    }
}

/// What a table's schema says for one name that one of its keys may have.
struct Case<'a> {
    key: &'a str,
    name: &'a str,
    required: Vec<&'a str>,
    refused: Vec<&'a str>,
}

/// The cases of a table: `allOf` of `if` one key is a constant `then` these keys are required and those are `false`.
fn cases(schema: &Value) -> Vec<Case<'_>> {
    let written = schema.get("allOf").and_then(Value::as_array);
    written.into_iter().flatten().filter_map(case).collect()
}

fn case(schema: &Value) -> Option<Case<'_>> {
    let (key, constant) = schema
        .get("if")?
        .get("properties")?
        .as_object()?
        .iter()
        .next()?;
    let then = schema.get("then")?;
    let properties = then.get("properties").and_then(Value::as_object);
    let refused = properties.into_iter().flatten();
    Some(Case {
        key,
        name: constant.get("const")?.as_str()?,
        required: strings(then.get("required")),
        refused: refused
            .filter(|(_, schema)| **schema == Value::Bool(false))
            .map(|(key, _)| key.as_str())
            .collect(),
    })
}

/// Where a key belongs that some case refuses.
fn only_with(key: &str, cases: &[Case<'_>]) -> Option<OnlyWith> {
    let refusing = cases.iter().find(|case| case.refused.contains(&key))?;
    let accepting = cases
        .iter()
        .filter(|case| case.key == refusing.key && !case.refused.contains(&key));
    Some(OnlyWith {
        key: refusing.key.to_owned(),
        names: accepting.map(|case| case.name.to_owned()).collect(),
    })
}

/// The type, without the "null" of an optional value.
fn type_name(schema: &Value) -> Option<&str> {
    let written = schema.get("type")?;
    let names = strings(Some(written)).into_iter();
    written
        .as_str()
        .into_iter()
        .chain(names)
        .find(|name| *name != "null")
}

/// The names of an enum: schemars writes `oneOf` constants where variants have descriptions, and `enum` where not.
fn names(schema: &Value) -> Option<Vec<String>> {
    if let Some(Value::Array(variants)) = schema.get("oneOf") {
        let constant = |variant: &Value| {
            variant
                .get("const")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        return variants.iter().map(constant).collect();
    }
    let names = strings(schema.get("enum"));
    (!names.is_empty()).then(|| names.into_iter().map(str::to_owned).collect())
}

fn strings(array: Option<&Value>) -> Vec<&str> {
    array
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn bound(schema: &Value, key: &str) -> Option<i128> {
    let number = schema.get(key)?;
    number
        .as_u64()
        .map(i128::from)
        .or_else(|| number.as_i64().map(i128::from))
}

/// What the integer type itself can hold.
fn format_bounds(schema: &Value) -> (i128, i128) {
    match schema.get("format").and_then(Value::as_str) {
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64") => (0, u64::MAX.into()),
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        Some(_) | None => (i64::MIN.into(), i64::MAX.into()),
    }
}
