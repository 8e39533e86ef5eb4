//! Groups of shell scripts.

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

fn shell(script: &str) -> impl Fn() -> Command {
    let script = script.to_owned();
    move || {
        let mut command = Command::new("sh");
        command.args(["-c", &script, "member"]);
        command
    }
}

const INTRODUCTION: &str =
    r#"echo '{"listening":"a:'$2'"}'; read peers; echo '{"ready":{"version":"7"}}'"#;

async fn group(world: u32, after: &str) -> anyhow::Result<Group> {
    let spawner = Spawner::start()?;
    Group::start(
        &spawner,
        "test",
        world,
        shell(&format!("{INTRODUCTION}; {after}")),
    )
    .await
}

fn error(result: anyhow::Result<impl Sized>) -> String {
    result.err().map(|error| format!("{error:#}")).unwrap()
}

#[tokio::test]
async fn members_answer_each_turn_and_end_with_their_input() {
    let answer = r#"while read line; do echo '{"seconds":[1.5,2],"wrong":'$2'}'; done"#;
    let mut group = group(2, answer).await.unwrap();
    assert_eq!(group.facts()["facts"]["version"], "7");
    for _ in 0..3 {
        let answers = group.turn(&json!({ "steps": 1 }), LIMIT).await.unwrap();
        assert_eq!(answers[1].seconds, [1.5, 2.0]);
        assert_eq!([answers[0].wrong, answers[1].wrong], [0, 1]);
    }
    group.end().await.unwrap();
}

#[tokio::test]
async fn member_that_dies_is_named_with_its_last_words() {
    let mut group = group(
        2,
        r#"read line; [ $2 = 0 ] && read line; echo oh no >&2; exit 3"#,
    )
    .await
    .unwrap();
    let died = error(group.turn(&json!({}), LIMIT).await);
    assert!(
        died.contains("test, process 1 ended (exit code 3)"),
        "{died}"
    );
    assert!(died.contains("oh no"), "{died}");
}

#[tokio::test]
async fn silence_is_told_and_leaves_no_process() {
    let mut group = group(1, "read line; sleep 1000").await.unwrap();
    let child = group.members[0].child.clone();
    let silent = error(group.turn(&json!({}), Duration::ZERO).await);
    assert!(silent.contains("gave no answer within 0 s"), "{silent}");
    drop(group);
    assert_eq!(child.exit().unwrap().how, "killed by signal 9 (SIGKILL)");
}

#[tokio::test]
async fn nonsense_is_shown() {
    let mut group = group(1, "read line; echo nonsense; read line")
        .await
        .unwrap();
    let nonsense = error(group.turn(&json!({}), LIMIT).await);
    assert!(nonsense.contains("answered \"nonsense\""), "{nonsense}");
}
