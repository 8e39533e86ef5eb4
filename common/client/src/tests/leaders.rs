//! The leader is found among several coordinators, wherever the search begins.

use std::time::Duration;

use convoy_wire::redirect::Redirect;
use tonic::Status;

use super::fake::{DEADLINE, Fake, Mood, endpoints, hello, nobody};
use crate::{AgentSession, Caller, ClientError, Endpoints, JobsClient};

async fn follower(leader: Option<&Fake>) -> Fake {
    let leader = leader.map(|leader| leader.address.clone());
    Fake::start(Mood::Follows(leader), None).await
}

/// A client of these coordinators that has not called anyone.
fn jobs(list: &Endpoints) -> JobsClient {
    JobsClient::of(Caller::new(list.clone()))
}

async fn submit(jobs: &JobsClient) {
    assert_eq!(
        jobs.submit("toy-1".to_owned(), 1).await.unwrap().as_str(),
        "toy-1"
    );
}

#[tokio::test]
async fn follower_sends_its_callers_to_the_leader_who_is_remembered() {
    let leader = Fake::leader().await;
    let follower = follower(Some(&leader)).await;
    let list = endpoints([&follower.address, &leader.address]);
    let jobs = jobs(&list);
    for _ in 0..3 {
        submit(&jobs).await;
    }
    assert_eq!((follower.asked(), leader.asked()), (1, 3));
    assert_eq!(list.leader(), Some(leader.address.clone()));
    let _session = AgentSession::open(&list, hello(), DEADLINE).await.unwrap();
    assert_eq!(
        follower.asked(),
        1,
        "sessions profit from what calls have learnt"
    );
}

#[tokio::test]
async fn leader_that_is_not_on_the_list_is_found() {
    let leader = Fake::leader().await;
    let follower = follower(Some(&leader)).await;
    let list = endpoints([&follower.address]);
    submit(&jobs(&list)).await;
    assert_eq!(list.leader(), Some(leader.address.clone()));
}

#[tokio::test]
async fn dead_coordinators_are_passed_over() {
    let leader = Fake::leader().await;
    let list = endpoints([&nobody().await, &nobody().await, &leader.address]);
    submit(&jobs(&list)).await;
}

#[tokio::test]
async fn silent_coordinator_is_passed_over_although_it_led_last() {
    let mut old = Fake::leader().await;
    let list = endpoints([&old.address]);
    submit(&jobs(&list)).await;
    old.command().await;
    // As a paused process: its connections live, and nothing comes.
    old.becomes(Mood::Silent);
    let new = Fake::leader().await;
    let list = endpoints([&old.address, &new.address]);
    list.remember(&old.address);
    submit(&jobs(&list)).await;
    assert_eq!(list.leader(), Some(new.address.clone()));
}

#[tokio::test]
async fn election_is_waited_for() {
    let (one, other) = (follower(None).await, Fake::leader().await);
    let electing = || Redirect { leader: None }.status();
    other.refuse_next([electing(), electing(), electing()]);
    let list = endpoints([&one.address, &other.address]);
    submit(&jobs(&list)).await;
    assert_eq!((one.asked(), other.asked()), (4, 4));
}

#[tokio::test]
async fn command_whose_answer_was_lost_is_repeated_at_the_new_leader_as_the_same() {
    let mut old = Fake::start(Mood::Mute, None).await;
    let mut new = follower(None).await;
    let list = endpoints([&old.address, &new.address]);
    let jobs = jobs(&list);
    let submitting = tokio::spawn(async move { jobs.submit("toy-1".to_owned(), 1).await });
    let first = old.command().await;
    new.becomes(Mood::Leads);
    old.die();
    assert_eq!(submitting.await.unwrap().unwrap().as_str(), "toy-1");
    assert_eq!(new.command().await, first);
}

/// What a client hears whose command one coordinator took without an answer, and the next refused.
async fn refused_after_a_lost_answer(refusal: Status) -> ClientError {
    let mut old = Fake::start(Mood::Mute, None).await;
    let new = Fake::leader().await;
    new.refuse_next([refusal]);
    let jobs = jobs(&endpoints([&old.address, &new.address]));
    let submitting = tokio::spawn(async move { jobs.submit("toy-1".to_owned(), 1).await });
    old.command().await;
    old.die();
    submitting.await.unwrap().unwrap_err()
}

#[tokio::test]
async fn refusal_for_want_of_room_does_not_hide_that_an_earlier_try_may_have_been_carried_out() {
    let full = || Status::resource_exhausted("nothing is written down at the moment");
    let error = refused_after_a_lost_answer(full()).await;
    let said = error.to_string();
    assert!(
        said.ends_with(
            "refused to submit the job: nothing is written down at the moment. An earlier try may have been carried out all the \
             same"
        ),
        "{said}"
    );
    let fake = Fake::leader().await;
    fake.refuse_next([full()]);
    let jobs = jobs(&endpoints([&fake.address]));
    let error = jobs.submit("toy-1".to_owned(), 1).await.unwrap_err();
    let said = error.to_string();
    assert!(!said.contains("earlier"), "there was none: {said}");
}

#[tokio::test]
async fn answer_to_a_command_is_that_of_its_first_try_if_it_is_no() {
    let over = Status::failed_precondition("job toy-1 is over");
    let said = refused_after_a_lost_answer(over).await.to_string();
    assert!(said.ends_with("job toy-1 is over"), "{said}");
}

#[tokio::test]
async fn commands_of_one_client_go_one_after_the_other() {
    let mut fake = Fake::leader().await;
    let jobs = jobs(&endpoints([&fake.address]));
    let calls = (0..20).map(|_| {
        let jobs = jobs.clone();
        tokio::spawn(async move { submit(&jobs).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    for sequence in 1..=20 {
        assert_eq!(fake.command().await.sequence, sequence);
    }
}

#[tokio::test]
async fn another_client_on_the_same_connection_counts_for_itself() {
    let mut fake = Fake::leader().await;
    let caller = Caller::new(endpoints([&fake.address]));
    let other = caller.another();
    submit(&JobsClient::of(caller)).await;
    submit(&JobsClient::of(other)).await;
    let (first, second) = (fake.command().await, fake.command().await);
    assert_eq!((first.sequence, second.sequence), (1, 1));
    assert_ne!(first.client_id, second.client_id);
}

#[tokio::test]
async fn giving_up_tells_what_every_coordinator_answered_and_how_often() {
    let one = follower(None).await;
    let other = follower(Some(&one)).await;
    let dead = nobody().await;
    let list = endpoints([&one.address, &other.address, &dead]);
    let error = AgentSession::open(&list, hello(), Duration::from_millis(300))
        .await
        .unwrap_err();
    let ClientError::Unreachable(unreachable) = &error else {
        panic!("{error}")
    };
    assert!(
        unreachable.is_leaderless && !unreachable.may_have_run,
        "{error}"
    );
    let answers = &unreachable.answers;
    assert_eq!(answers.len(), 3);
    for (answered, address, text) in [
        (
            &answers[0],
            &one.address,
            "it is a follower and knows no leader".to_owned(),
        ),
        (
            &answers[1],
            &other.address,
            format!("it is a follower and says that {} leads", one.address),
        ),
    ] {
        assert_eq!(answered.address, *address);
        let times = answered.answers.iter().find(|(said, _)| *said == text);
        assert!(times.is_some_and(|(_, times)| *times > 1), "{error}");
    }
    assert!(
        answers[2].answers[0].0.contains("onnection refused"),
        "{error}"
    );
    let text = error.to_string();
    let list = list.to_string().replace(',', ", ");
    assert!(
        text.starts_with(&format!(
            "no coordinator leads at {list} to hold an agent session, tried for 300 ms: {}: ",
            one.address
        )),
        "{text}"
    );
}

/// A submission that is given up after `limit`.
async fn given_up(fake: &Fake, limit: Duration) -> ClientError {
    let caller = Caller::new(endpoints([&fake.address]));
    let submit = |connection, _| async move {
        let mut stub = convoy_proto::v1::jobs_client::JobsClient::new(connection);
        stub.submit(convoy_proto::v1::SubmitRequest::default())
            .await
    };
    let submitted = caller.command("submit the job", limit, submit).await;
    submitted.unwrap_err()
}

#[tokio::test]
async fn command_that_may_have_been_carried_out_says_so() {
    let fake = Fake::start(Mood::Mute, None).await;
    let error = given_up(&fake, Duration::from_millis(100)).await;
    assert!(
        error
            .to_string()
            .ends_with("no answer in time (once). It may have been done all the same"),
        "{error}"
    );
    fake.becomes(Mood::Follows(None));
    let error = given_up(&fake, Duration::from_millis(100)).await;
    let text = error.to_string();
    assert_eq!(
        text.contains("all the same"),
        // The time may be up while the last of them is asked.
        text.contains("no answer in time"),
        "a follower has certainly not done it: {text}"
    );
}

#[tokio::test]
async fn command_of_which_a_leader_was_relieved_may_have_been_carried_out() {
    let fake = follower(None).await;
    fake.refuse_next([Redirect { leader: None }.undecided_status()]);
    let error = given_up(&fake, Duration::from_millis(300)).await;
    let ClientError::Unreachable(unreachable) = error else {
        panic!("{error}")
    };
    assert!(unreachable.may_have_run, "{unreachable}");
}
