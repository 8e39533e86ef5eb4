mod optimizer;

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::document::Shape;
use crate::limits::{MAX_ENV_VARIABLE_BYTES, MAX_SPEC_BYTES, MAX_SPEC_PROBLEMS};
use crate::property_tests::reproducible;

const VALID: &str = r#"name = "fashion-mnist"

[model]
name = "small_cnn"
classes = 10

[data]
format = "idx"
train_images = "data/train-images.gz"
train_labels = "data/train-labels.gz"
test_images = "data/test-images.gz"
test_labels = "/data/test-labels.gz"
mean = [0.2860]
std = [0.3530]
augment = { crop_padding = 2, flip = true }

[training]
epochs = 5
global_batch = 128
data_shards = 4
seed = 42
label_smoothing = 0.1

[optimizer]
name = "sgd"
learning_rate = 0.1
momentum = 0.9
nesterov = true
weight_decay = 5e-4

[schedule]
warmup_epochs = 0.5

[elastic]
max_workers = 4

[checkpoints]
folder = "checkpoints"

[env]
MALLOC_ARENA_MAX = "2"
"#;

pub(super) fn parse(source: &str) -> Result<JobSpec, SpecErrors> {
    JobSpec::parse(source, "job.toml")
}

pub(super) fn valid() -> JobSpec {
    parse(VALID).unwrap()
}

/// The valid spec with one line replaced by others.
pub(super) fn with(line: &str, by: &str) -> String {
    assert_eq!(VALID.matches(line).count(), 1, "{line}");
    VALID.replace(line, by)
}

/// First lines of all problems.
fn problems(source: &str) -> Vec<String> {
    let errors = parse(source).unwrap_err();
    let line = |problem: &Problem| {
        let place = problem.place.as_ref().unwrap();
        format!(
            "{}:{} {}: {}",
            place.line, place.column, problem.path, problem.reason
        )
    };
    errors.problems().iter().map(line).collect()
}

#[track_caller]
pub(super) fn check(source: &str, expected: &[&str]) {
    assert_eq!(problems(source), expected);
}

#[test]
fn a_valid_spec_is_read_with_its_defaults() {
    let spec = valid();
    assert_eq!(spec.name, "fashion-mnist");
    assert_eq!(spec.data_shards(), 4);
    assert_eq!(spec.training.threads_per_worker, 1);
    assert_eq!(spec.training.reproducibility, Reproducibility::Bitwise);
    assert_eq!(spec.schedule.name, ScheduleName::Cosine);
    assert_eq!(spec.elastic.min_workers, 1);
    assert_eq!(spec.checkpoints.every_epochs, 1);
    assert_eq!(spec.env["MALLOC_ARENA_MAX"], "2");
}

#[test]
fn a_misspelt_key_is_shown_as_rustc_shows_it() {
    let errors = parse(&with("global_batch = 128", "global_bach = 128")).unwrap_err();
    let expected = "\
job.toml:19:1: training.global_bach: unknown key; did you mean `global_batch`?
19 | global_bach = 128
   | ^^^^^^^^^^^
   = valid keys here: class_weights, data_shards, epochs, global_batch, label_smoothing, memory_format, precision, reproducibility, seed, threads_per_worker";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let source = with("classes = 10", "classes = \"10\"")
        .replace("epochs = 5", "epochs = 0")
        .replace("name = \"sgd\"", "name = \"sdg\"")
        .replace("[checkpoints]\nfolder = \"checkpoints\"\n", "");
    check(
        &source,
        &[
            "1:1 checkpoints: this table is missing",
            "5:11 model.classes: must be a whole number, is a string",
            "18:10 training.epochs: must be from 1 to 1000000, is 0",
            "25:8 optimizer.name: unknown name \"sdg\"; did you mean \"sgd\"?",
        ],
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    check(
        &with("weight_decay = 5e-4", "weight_decay = 5e-4\nseed = 1"),
        &["30:1 optimizer.seed: unknown key; did you mean `training.seed`?"],
    );
}

#[test]
fn a_missing_key_is_shown_at_its_table() {
    let errors = parse(&with("epochs = 5\n", "")).unwrap_err();
    let expected = "\
job.toml:17:1: training.epochs: this key is missing
17 | [training]
   | ^^^^^^^^^^
   = meaning: Passes over the training split.";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn an_unknown_model_lists_the_models_there_are() {
    let errors = parse(&with("\"small_cnn\"", "\"vgg16\"")).unwrap_err();
    assert_eq!(errors.problems()[0].reason, "unknown name \"vgg16\"");
    assert_eq!(
        errors.problems()[0].note.as_deref(),
        Some("valid names: small_cnn, resnet18, resnet34, resnet50, resnet101, resnet152")
    );
}

#[test]
fn wrong_types_say_what_is_wanted() {
    check(
        &with("classes = 10", "classes = 10.0"),
        &["5:11 model.classes: must be a whole number, is a number with a fraction"],
    );
    check(
        &with("mean = [0.2860]", "mean = 0.2860"),
        &["13:8 data.mean: must be a list in which each is a number, is a number with a fraction"],
    );
    check(
        &with("mean = [0.2860]", "mean = [\"a\"]"),
        &["13:9 data.mean[0]: must be a number, is a string"],
    );
    check(
        &with("flip = true", "flip = 1"),
        &["15:38 data.augment.flip: must be true or false, is a whole number"],
    );
    check(
        &with("MAX = \"2\"", "MAX = 2"),
        &["41:20 env.MALLOC_ARENA_MAX: must be a string, is a whole number"],
    );
    check(
        &with("\"sgd\"", "7"),
        &["25:8 optimizer.name: must be a string, one of sgd, adamw, lars, is a whole number"],
    );
}

#[test]
fn numbers_out_of_range_say_the_range() {
    let rate = |text: &str| with("learning_rate = 0.1", &format!("learning_rate = {text}"));
    let refused = |text: &str| {
        vec![format!(
            "26:17 optimizer.learning_rate: must be from 1e-9 to 1000.0, is {text}"
        )]
    };
    for text in ["0", "-1.0", "1e4", "nan", "inf", "-inf"] {
        assert_eq!(problems(&rate(text)), refused(text));
    }
    assert_eq!(parse(&rate("1")).unwrap().optimizer.learning_rate, 1.0);
    check(
        &with("data_shards = 4", "data_shards = 0"),
        &["20:15 training.data_shards: must be from 1 to 4096, is 0"],
    );
    check(
        &with("seed = 42", "seed = -1"),
        &["21:8 training.seed: must be from 0 to 18446744073709551615, is -1"],
    );
    check(
        &with("std = [0.3530]", "std = []"),
        &["14:7 data.std: must have 1 to 4 values, has 0"],
    );
}

#[test]
fn the_largest_seed_is_read() {
    assert_eq!(
        parse(&with("seed = 42", "seed = 18446744073709551615"))
            .unwrap()
            .training
            .seed,
        u64::MAX
    );
    assert_eq!(
        parse(&with("seed = 42", "seed = 0xff_ff"))
            .unwrap()
            .training
            .seed,
        65_535
    );
}

#[test]
fn syntax_errors_have_a_place() {
    check(
        &with("epochs = 5", "epochs = "),
        &["18:10 : string values must be quoted, expected literal string"],
    );
}

#[test]
fn a_name_must_do_as_a_job_id() {
    let reason =
        "must be 1 to 64 letters, digits, '-', '_' or '.', starting with a letter or digit";
    for name in ["", "a b", "-a", "../a", &"a".repeat(65)] {
        let found = problems(&with("\"fashion-mnist\"", &format!("{name:?}")));
        assert!(
            found.len() == 1 && found[0].starts_with("1:8 name: ") && found[0].ends_with(reason),
            "{found:?}"
        );
    }
}

#[test]
fn paths_are_not_empty() {
    check(
        &with("\"data/train-images.gz\"", "\"\""),
        &["9:16 data.train_images: must not be empty"],
    );
    check(
        &with("\"checkpoints\"", r#""a\u0000b""#),
        &["38:10 checkpoints.folder: a path must not hold NUL"],
    );
}

#[test]
fn both_reproducibilities_are_read_and_no_other() {
    let read = |text: &str| parse(&with("seed = 42", &format!("reproducibility = {text}")));
    let of = |text: &str| read(text).unwrap().training.reproducibility;
    assert_eq!(of("\"bitwise\""), Reproducibility::Bitwise);
    assert_eq!(of("\"fast\""), Reproducibility::Fast);
    let errors = read("\"exact\"").unwrap_err();
    assert_eq!(errors.problems()[0].path, "training.reproducibility");
}

#[test]
fn nesterov_needs_momentum() {
    check(
        &with("momentum = 0.9\n", ""),
        &["27:12 optimizer.nesterov: needs optimizer.momentum above 0, is 0"],
    );
}

#[test]
fn mean_and_std_have_one_value_per_channel() {
    check(
        &with("std = [0.3530]", "std = [0.3, 0.3, 0.3]"),
        &["14:7 data.std: 3 values, but data.mean has 1"],
    );
}

#[test]
fn warm_up_ends_within_the_job() {
    check(
        &with("warmup_epochs = 0.5", "warmup_epochs = 5"),
        &[
            "32:17 schedule.warmup_epochs: a warm-up of 5 epochs does not end within the 5 epochs of training.epochs",
        ],
    );
}

#[test]
fn worker_bounds_are_in_order() {
    check(
        &with("max_workers = 4", "max_workers = 2\nmin_workers = 3"),
        &["36:15 elastic.min_workers: 3 is more than elastic.max_workers, 2"],
    );
}

#[test]
fn more_workers_than_shards_are_refused_with_the_numbers() {
    let reason = "more workers than data shards: up to 8 workers cannot share 4 data shards (training.data_shards), \
                  each needs one of its own";
    check(
        &with("max_workers = 4", "max_workers = 8"),
        &[&format!("35:15 elastic.max_workers: {reason}")],
    );
    // The bound is a default that the file does not have: shown at the key that it has.
    check(
        &with("[elastic]\nmax_workers = 4\n", ""),
        &[&format!("20:15 training.data_shards: {reason}")],
    );
}

#[test]
fn a_batch_too_small_for_the_shards_is_refused_with_the_numbers() {
    let errors = parse(&with("global_batch = 128", "global_batch = 7")).unwrap_err();
    let problem = &errors.problems()[0];
    assert_eq!(problem.path, "training.global_batch");
    let reason = "7 samples cannot be cut into 4 data shards (training.data_shards) of at least 2 samples, which BatchNorm needs";
    assert_eq!(problem.reason, reason);
    let note =
        "raise training.global_batch to 8 or more, or set training.data_shards to 3 or fewer";
    assert_eq!(problem.note.as_deref(), Some(note));
}

#[test]
fn one_wrong_value_is_not_reported_twice() {
    check(
        &with("data_shards = 4", "data_shards = 5000"),
        &["20:15 training.data_shards: must be from 1 to 4096, is 5000"],
    );
}

#[test]
fn variables_that_a_process_cannot_have_or_convoy_sets_are_refused() {
    let env = |line: &str| problems(&with("MALLOC_ARENA_MAX = \"2\"", line));
    let name = "the name of a variable must not be empty nor hold '=' or NUL";
    assert_eq!(env("\"\" = \"x\""), [format!("41:1 env.\"\": {name}")]);
    assert_eq!(
        env("\"A=B\" = \"x\""),
        [format!("41:1 env.\"A=B\": {name}")]
    );
    assert_eq!(
        env("CONVOY_LOG = \"x\""),
        ["41:1 env.CONVOY_LOG: names that start with CONVOY_ are reserved"]
    );
    assert_eq!(
        env("OMP_NUM_THREADS = \"2\""),
        ["41:1 env.OMP_NUM_THREADS: this variable is set by Convoy"]
    );
    assert_eq!(
        env("A = \"x\\u0000\""),
        ["41:5 env.A: the value of a variable must not hold NUL"]
    );
    let long = "x".repeat(MAX_ENV_VARIABLE_BYTES);
    let reason = "131075 bytes with its name; Linux takes at most 131072 in one variable";
    assert_eq!(
        env(&format!("A = \"{long}\"")),
        [format!("41:5 env.A: {reason}")]
    );
}

#[test]
fn a_file_too_large_to_be_a_spec_is_not_read() {
    let errors = parse(&" ".repeat(MAX_SPEC_BYTES + 1)).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "job.toml: 1048577 bytes; a job spec has at most 1048576"
    );
}

#[test]
fn of_very_many_problems_the_first_are_shown_and_the_rest_counted() {
    let lines: String = (0..100)
        .map(|number| format!("key-{number} = 1\n"))
        .collect();
    let errors = parse(&with("[model]", &format!("{lines}\n[model]"))).unwrap_err();
    assert_eq!(errors.problems().len(), MAX_SPEC_PROBLEMS);
    assert!(
        errors
            .to_string()
            .ends_with("job.toml: 60 more problems not shown")
    );
}

#[test]
fn a_line_of_the_file_cannot_drive_the_terminal() {
    let errors = parse("# \u{1b}[2J\n\tx\u{7f} = \u{9b}1\n")
        .unwrap_err()
        .to_string();
    assert!(
        errors.chars().all(|c| c == '\n' || !c.is_control()),
        "{errors:?}"
    );
}

#[test]
fn the_caret_stands_below_its_character_in_long_and_wide_lines() {
    let source = with(
        "[model]",
        &format!(
            "\"{}\" = 1 # {}\r\n[model]",
            "\u{fc}".repeat(300),
            "x".repeat(300)
        ),
    );
    let errors = parse(&source).unwrap_err();
    let place = errors.problems()[0].place.clone().unwrap();
    assert_eq!((place.line, place.column, place.excerpt_column), (3, 1, 0));
    assert_eq!((place.excerpt.chars().count(), place.width), (120, 120));
}

#[test]
fn relative_paths_are_resolved_against_the_folder_of_the_spec() {
    let mut spec = valid();
    spec.resolve_paths(Path::new("/jobs"));
    let DataFiles::Idx(idx) = &spec.data.files else {
        panic!("{:?}", spec.data.files);
    };
    assert_eq!(idx.train_images, Path::new("/jobs/data/train-images.gz"));
    assert_eq!(idx.test_labels, Path::new("/data/test-labels.gz"));
    assert_eq!(spec.checkpoints.folder, Path::new("/jobs/checkpoints"));
    assert_eq!(spec.model.init, None);
    spec.model.init = Some("weights/resnet18.safetensors".into());
    spec.resolve_paths(Path::new("/jobs"));
    assert_eq!(
        spec.model.init.as_deref(),
        Some(Path::new("/jobs/weights/resnet18.safetensors"))
    );

    spec.checkpoints.folder = "../../runs/x".into();
    spec.resolve_paths(Path::new("/a/b/c"));
    assert_eq!(spec.checkpoints.folder, Path::new("/a/runs/x"));
    spec.checkpoints.folder = "../x".into();
    spec.resolve_paths(Path::new("/a/link/.."));
    assert_eq!(spec.checkpoints.folder, Path::new("/a/link/../../x"));
}

#[test]
fn workers_outside_the_bounds_are_refused_with_the_numbers() {
    let mut spec = valid();
    spec.elastic = ElasticSpec {
        min_workers: 2,
        max_workers: 3,
    };
    assert_eq!(spec.check_workers(2), Ok(()));
    assert_eq!(spec.check_workers(3), Ok(()));
    assert_eq!(
        spec.check_workers(1),
        Err(WorkersRefused::TooFew {
            workers: 1,
            min_workers: 2
        })
    );
    assert_eq!(
        spec.check_workers(4),
        Err(WorkersRefused::TooMany {
            workers: 4,
            max_workers: 3
        })
    );
    let refused = spec.check_workers(5).unwrap_err();
    assert_eq!(
        refused,
        WorkersRefused::MoreThanShards {
            workers: 5,
            data_shards: 4
        }
    );
    assert!(
        refused
            .to_string()
            .starts_with("more workers than data shards: 5 workers cannot share 4 data shards")
    );
}

#[test]
fn json_is_checked_as_toml_is() {
    let mut json = serde_json::to_value(valid()).unwrap();
    assert_eq!(JobSpec::from_json(&json.to_string()).unwrap(), valid());
    json["training"]["epochs"] = 0.into();
    json["elastic"]["max_workers"] = 9.into();
    let errors = JobSpec::from_json(&json.to_string()).unwrap_err();
    let paths: Vec<&str> = errors
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "training.epochs",
            "schedule.warmup_epochs",
            "elastic.max_workers"
        ]
    );
    json["colour"] = "red".into();
    let errors = JobSpec::from_json(&json.to_string()).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("job spec as JSON: unknown field `colour`"),
        "{errors}"
    );
}

#[test]
fn the_schema_has_the_ranges_names_and_defaults_of_the_structs() {
    let schema = json_schema();
    let field = |table: &str, key: &str| schema["properties"][table]["properties"][key].clone();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(field("training", "data_shards")["maximum"], json!(4096));
    assert_eq!(field("training", "epochs")["minimum"], json!(1));
    assert_eq!(
        field("optimizer", "learning_rate")["maximum"],
        json!(1000.0)
    );
    assert_eq!(field("data", "mean")["items"]["maximum"], json!(1.0));
    assert_eq!(
        field("model", "name")["oneOf"][0]["const"],
        json!("small_cnn")
    );
    assert_eq!(field("elastic", "max_workers")["default"], json!(8));
    assert_eq!(schema["properties"]["name"]["maxLength"], json!(64));
}

#[test]
fn the_shape_check_understands_the_whole_schema() {
    fn assert_known(shape: &Shape) {
        match shape {
            Shape::Other => {
                panic!("a part of the schema that the shape check does not know")
            }
            Shape::Table(fields) => fields.values().for_each(|field| assert_known(&field.shape)),
            Shape::List(each, ..) | Shape::Map(each) => assert_known(each),
            Shape::Flag | Shape::Text | Shape::Name(_) => {}
            Shape::Formatted(_) => {}
            Shape::Whole(..) | Shape::Number(..) => {}
        }
    }
    assert_known(&Shape::of(&json_schema()));
}

/// The valid spec with a few bytes of it replaced, cut or put in.
fn mutations() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        ".{0,8}",
        "[\\[\\]{}=\"'.,#\n\t\r 0-9a-z_-]{0,8}",
        Just("[training]\n".to_owned()),
        Just("1e999".to_owned()),
        Just("nan".to_owned()),
        Just("-9223372036854775809".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("\"\"\"".to_owned()),
    ];
    let edit = (0..VALID.len(), 0usize..20, pieces);
    proptest::collection::vec(edit, 1..6).prop_map(|edits| {
        edits
            .into_iter()
            .fold(VALID.to_owned(), |mut source, (start, length, piece)| {
                let floor = |index: usize| {
                    (0..=index.min(source.len()))
                        .rev()
                        .find(|at| source.is_char_boundary(*at))
                        .unwrap()
                };
                let (start, end) = (floor(start), floor(start + length));
                source.replace_range(start..end.max(start), &piece);
                source
            })
    })
}

/// Whatever the text: no panic, every problem has a place in it, and what is accepted is right.
fn check_any(source: &str) -> Result<(), TestCaseError> {
    match parse(source) {
        Ok(spec) => prop_assert_eq!(spec.check(), Ok(())),
        Err(errors) => {
            prop_assert!(!errors.problems().is_empty());
            let lines: Vec<&str> = source.split('\n').collect();
            for problem in errors.problems() {
                let place = problem.place.as_ref().unwrap();
                let line = lines.get(place.line - 1).copied().unwrap();
                prop_assert!(place.column <= line.chars().count() + 1);
                prop_assert!(place.width >= 1);
            }
            prop_assert!(errors.to_string().starts_with("job.toml:"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(reproducible())]

    #[test]
    fn arbitrary_text_never_panics(source: String) {
        check_any(&source)?;
    }

    #[test]
    fn arbitrary_lines_never_panic(source in "([a-z\\[\\]{}.=\"'#, \n\u{e9}-]|1|true|model|data|env){0,80}") {
        check_any(&source)?;
    }

    #[test]
    fn a_damaged_spec_never_panics(source in mutations()) {
        check_any(&source)?;
    }

    #[test]
    fn arbitrary_json_never_panics(source in "[\\[\\]{}:,\"a-z0-9.e-]{0,80}") {
        prop_assert!(JobSpec::from_json(&source).is_err());
    }

    #[test]
    fn the_wire_form_keeps_every_bit(
        learning_rate in 1e-9..1e3f64, mean in 0.0..1.0f32, smoothing in 0.0..0.9f64, seed: u64, folder in "[^\0]{1,20}",
    ) {
        let mut spec = valid();
        spec.optimizer.learning_rate = learning_rate;
        spec.data.mean = vec![mean];
        spec.training.label_smoothing = smoothing;
        spec.training.seed = seed;
        spec.checkpoints.folder = folder.into();
        prop_assert_eq!(JobSpec::from_json(&spec.to_json().unwrap()).unwrap(), spec);
    }
}
