//! Golden files: the bytes of everything that is kept or sent, beside what they say. A change of form fails here.

mod refusals;
mod samples;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, CodecError};
use crate::command::{Answer, Command, Envelope, Outcome};
use crate::{Cluster, Refusal};

/// What to do when a golden file differs.
const ADVICE: &str = "\
Logs and snapshots with the old form exist: they must stay readable, and builds on both sides of an upgrade must agree.
- A field was added: give it #[serde(default)].
- A command or a case was added: raise ClusterVersion::NEWEST, and say in Command::since which version brings it.
- The form or meaning of something old changed: undo that, or raise COMMAND_FORMAT or SNAPSHOT_FORMAT and read both.
Then write the files anew; the old form is kept in them as \"... (old N)\" and must stay readable:
    CONVOY_GOLDEN=write cargo test -p convoy-state-machine golden";

/// One thing that is kept: its name, its bytes, and what they say as JSON.
struct Golden {
    name: String,
    bytes: Vec<u8>,
    json: String,
}

impl Golden {
    fn new<T: Serialize>(name: &str, bytes: Vec<u8>, value: &T) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            json: serde_json::to_string_pretty(value).unwrap(),
        }
    }

    /// As it stands in the file.
    fn block(&self) -> String {
        let mut hex = String::new();
        for line in self.bytes.chunks(48) {
            for byte in line {
                write!(hex, "{byte:02x}").unwrap();
            }
            hex.push('\n');
        }
        format!("# {}\n{}\n{hex}\n", self.name, self.json)
    }

    fn from_block(block: &str) -> Self {
        let (name, rest) = block.split_once('\n').unwrap();
        // The JSON ends with the only line that is a closing brace or bracket, or is one word.
        let lines: Vec<&str> = rest.trim_end().lines().collect();
        let is_hex = |line: &&&str| line.chars().all(|letter| letter.is_ascii_hexdigit());
        let hex_lines = lines.iter().rev().take_while(is_hex).count();
        let (json, hex) = lines.split_at(lines.len() - hex_lines);
        let hex: Vec<u8> = hex.concat().into_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        Self {
            name: name.to_owned(),
            bytes: hex.chunks(2).map(|pair| byte(pair).unwrap()).collect(),
            json: json.join("\n"),
        }
    }
}

/// Compares with the file, and reads everything in it: old forms too.
#[expect(
    clippy::disallowed_methods,
    reason = "golden files lie beside the source"
)]
fn check(file: &str, current: &[Golden], decode: impl Fn(&[u8]) -> Result<String, CodecError>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(file);
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let known: Vec<Golden> = known.split("# ").skip(1).map(Golden::from_block).collect();
    if std::env::var("CONVOY_GOLDEN").is_ok_and(|mode| mode == "write") {
        return std::fs::write(&path, renewed(known, current)).unwrap();
    }
    let known: BTreeMap<&str, &Golden> = known
        .iter()
        .map(|golden| (golden.name.as_str(), golden))
        .collect();
    for golden in current {
        let name = &golden.name;
        let Some(kept) = known.get(name.as_str()) else {
            panic!("{name} is not in golden/{file}.\n{ADVICE}");
        };
        assert!(
            kept.bytes == golden.bytes && kept.json == golden.json,
            "the form of {name} changed: in golden/{file} it is\n{}\nand now\n{}\n{ADVICE}",
            kept.block(),
            golden.block()
        );
    }
    for (name, kept) in known {
        let read = decode(&kept.bytes);
        let read = read.unwrap_or_else(|error| {
            panic!("{name} of golden/{file} can't be read any more: {error}\n{ADVICE}")
        });
        let is_old = name.ends_with(')');
        assert!(
            is_old || read == kept.json,
            "{name} of golden/{file} is read as\n{read}\ninstead of\n{}",
            kept.json
        );
    }
}

/// The file's new text: what changed stays as an old form.
fn renewed(known: Vec<Golden>, current: &[Golden]) -> String {
    let mut text: String = current.iter().map(Golden::block).collect();
    let mut old_forms = 0;
    for mut golden in known {
        let is_old = golden.name.ends_with(')');
        let same = |now: &&Golden| now.bytes == golden.bytes;
        if !is_old && current.iter().find(same).is_some() {
            continue;
        }
        old_forms += 1;
        if !is_old {
            golden.name = format!("{} (old {old_forms})", golden.name);
        }
        text.push_str(&golden.block());
    }
    text
}

/// The names of an enum's cases, from the error that lists them.
fn cases<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = serde_json::from_str::<T>("\"no such case\"") else {
        panic!("a case has this name");
    };
    let error = error.to_string();
    let names = error.split('`').skip(1).step_by(2).skip(1);
    names.map(str::to_owned).collect()
}

/// The name of a value's case.
fn case<T: Serialize>(value: &T) -> String {
    // A case without content is its name, one with content an object with one key.
    let value = serde_json::to_value(value).unwrap();
    match value.as_object() {
        Some(fields) => fields.keys().next().unwrap().clone(),
        None => value.as_str().unwrap().to_owned(),
    }
}

/// One golden per value, named after its case; together they are all cases.
fn of_each_case<T, W>(values: Vec<T>, encode: impl Fn(T) -> (W, Vec<u8>)) -> Vec<Golden>
where
    T: Serialize + DeserializeOwned,
    W: Serialize,
{
    let named: Vec<String> = values.iter().map(case).collect();
    for name in cases::<T>() {
        assert!(
            named.contains(&name),
            "{name} has no sample for its golden file"
        );
    }
    let goldens = named.iter().zip(values).map(|(name, value)| {
        let (whole, bytes) = encode(value);
        Golden::new(name, bytes, &whole)
    });
    goldens.collect()
}

fn json<T: Serialize>(value: T) -> String {
    serde_json::to_string_pretty(&value).unwrap()
}

fn encode_answer(answer: Answer) -> (Answer, Vec<u8>) {
    let bytes = codec::encode_answer(&answer).unwrap();
    (answer, bytes)
}

#[test]
fn golden_commands() {
    let mut goldens = of_each_case(samples::commands(), |command: Command| {
        let envelope = Envelope::from(command);
        let bytes = codec::encode_command(&envelope).unwrap();
        (envelope, bytes)
    });
    let of_client = samples::of_a_client();
    let bytes = codec::encode_command(&of_client).unwrap();
    goldens.push(Golden::new("with its origin", bytes, &of_client));
    check("commands.txt", &goldens, |bytes| {
        codec::decode_command(bytes).map(json)
    });
}

#[test]
fn golden_answers() {
    let mut goldens = of_each_case(samples::outcomes(), |outcome: Outcome| {
        encode_answer(Ok(outcome))
    });
    goldens.extend(of_each_case(refusals::all(), |refusal: Refusal| {
        encode_answer(Err(refusal))
    }));
    check("answers.txt", &goldens, |bytes| {
        codec::decode_answer(bytes).map(json)
    });
}

#[test]
fn golden_snapshots() {
    let states = [("empty", Cluster::default()), ("full", samples::state())];
    let goldens = states.map(|(name, state)| {
        let mut bytes = Vec::new();
        codec::write_snapshot(&state, &mut bytes).unwrap();
        Golden::new(name, bytes, &state)
    });
    check("snapshots.txt", &goldens, |bytes| {
        codec::read_snapshot(bytes).map(json)
    });
}
